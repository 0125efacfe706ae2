#pragma once

// The parameters of a model by name, in one arena. Names and layouts are Hugging Face's, so that files need
// no translation.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/config.hpp"
#include "runtime/device.hpp"

namespace gristmill::model {

/// How a tensor is held: as numbers that can be trained, or in int8 (runtime/int8.hpp), as its file has it or
/// turned (GPT-2's Conv1D, whose columns are outputs).
enum class Storage { real, int8, int8_turned };

/// One tensor of the table.
struct ParameterInfo {
  std::string name;            ///< "model.layers.0.self_attn.q_proj.weight"
  std::vector<int64_t> shape;  ///< as in the file
  int64_t rows = 0, cols = 0;  ///< as a matrix, where turned the turned one; a vector is 1 × n
  int64_t offset = 0;          ///< elements from the start of its arena, a multiple of 16
  bool decay = false;          ///< weight decay applies: matrices yes, norms and biases no
  double initial_std = 0;      ///< normal; 0 with initial_one false = zeros
  bool initial_one = false;    ///< norm weights start at 1 …
  double initial_scale = 1;    ///< … times this
  /// The optimizer's learning rate times this: not 1 with Config::mup_base_dim.
  double learning_rate_scale = 1;
  Storage storage = Storage::real;

  int64_t size() const { return rows * cols; }
};

/// The table of a configuration, in a fixed order.
std::vector<ParameterInfo> parameter_table(const Config& config);

/// A set of tensors over one table: weights, or gradients, or an optimizer's moments.
class ParameterSet {
 public:
  ParameterSet(runtime::Device& device, std::vector<ParameterInfo> table);

  const std::vector<ParameterInfo>& table() const { return table_; }
  size_t size() const { return table_.size(); }
  /// Where a name stands in the table.
  std::optional<size_t> find(const std::string& name) const;
  runtime::View view(size_t index) const;
  /// By name; Error{internal} if there is none.
  runtime::View view(const std::string& name) const;
  /// The whole arena, 1 × n, padding included (padding stays zero).
  runtime::View all() const;
  /// The arena of what is held in int8, in bytes.
  runtime::View int8_arena() const { return int8_.view(); }
  runtime::Device& device() const { return *device_; }

 private:
  runtime::Device* device_;
  std::vector<ParameterInfo> table_;
  std::vector<size_t> by_name_;  ///< indices of the table, sorted: mixtures have very many tensors
  runtime::Buffer arena_, int8_;
};

/// Draws initial weights: N(0, initial_std) from (seed, tensor index, element), the same on every device.
void initialize(ParameterSet& parameters, uint64_t seed);

}  // namespace gristmill::model
