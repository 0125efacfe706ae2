#pragma once

// Linear maps and norms of both families over the parameter table: which tensors, in which layout, fused
// where they touch.

#include <cstdint>
#include <string>
#include <vector>

#include "model/parameters.hpp"
#include "runtime/backend.hpp"
#include "runtime/int8.hpp"

namespace gristmill::model {

/// Weights, and gradients when a backward pass runs.
struct Weights {
  const ParameterSet& parameters;
  ParameterSet* gradients = nullptr;
};

/// y = x · Wᵀ (+ b) with W stored out × in (Hugging Face's Linear), or y = x · W + b with W stored in × out
/// (GPT-2's Conv1D). Several Linear weights that stand in one arena without a gap, and whose biases do, are
/// one product ([q; k; v], [gate; up]).
class Linear {
 public:
  /// Weights of one layout, one after another in the output's columns: each prefix + ".weight", and ".bias"
  /// if the table has it (then all have one).
  static Linear linear(const ParameterSet& parameters, const std::vector<std::string>& prefixes);
  /// `prefix` + ".weight" and ".bias".
  static Linear conv1d(const ParameterSet& parameters, const std::string& prefix);

  /// out[T,out] = in[T,in] · W (+ bias) (+ residual, which may be out).
  void forward(runtime::Backend& backend, const Weights& weights, runtime::View out, runtime::ConstView in,
               runtime::ConstView residual = {}) const;
  /// out[T,out] = in · W (+ bias), and `activated` = its activation.
  void forward(runtime::Backend& backend, const Weights& weights, runtime::View out, runtime::ConstView in,
               runtime::Activation activation, runtime::View activated) const;
  /// din is overwritten; the weights' gradients are each finished and then added.
  void backward(runtime::Backend& backend, const Weights& weights, runtime::View din, runtime::ConstView dout,
                runtime::ConstView in) const;

 private:
  /// A matrix in its arena: one tensor, or several without gaps.
  struct Region {
    int64_t offset = 0, rows = 0, cols = 0;
    Storage storage = Storage::real;
    int64_t end() const;
    bool fills_strips() const { return rows % runtime::kInt8StripRows == 0; }
    runtime::View view(const ParameterSet& set) const;
  };
  struct Piece {
    Region weight, bias;  ///< bias 1 × out, or 0 × 0
  };
  static Piece piece(const ParameterSet& parameters, const std::string& prefix);
  runtime::Matmul product(const Piece& piece, const Weights& weights, runtime::View out,
                          runtime::ConstView in) const;
  /// Whether a row of the weight is an output: not where Conv1D's is held as numbers.
  bool outputs_are_rows(const Piece& piece) const {
    return !conv1d_ || piece.weight.storage == Storage::int8_turned;
  }

  std::vector<Piece> pieces_;
  bool conv1d_ = false;
};

/// RMSNorm or, where there is a bias, LayerNorm.
class Norm {
 public:
  /// `prefix` + ".weight", and ".bias" if the table has it.
  Norm(const ParameterSet& parameters, const std::string& prefix, double epsilon);
  /// Columns of the statistics that backward() needs: rstd, or mean and rstd.
  int64_t statistics() const { return has_bias_ ? 2 : 1; }
  void forward(runtime::Backend& backend, const Weights& weights, runtime::View out, runtime::View statistics,
               runtime::ConstView in) const;
  void backward(runtime::Backend& backend, const Weights& weights, runtime::View din, bool accumulate_din,
                runtime::ConstView dout, runtime::ConstView in, runtime::ConstView statistics) const;

 private:
  size_t weight_ = 0, bias_ = 0;
  bool has_bias_ = false;
  double epsilon_;
};

/// Index of a name in the table; Error{internal} if there is none.
size_t parameter_index(const ParameterSet& parameters, const std::string& name);
bool has_parameter(const ParameterSet& parameters, const std::string& name);

}  // namespace gristmill::model
