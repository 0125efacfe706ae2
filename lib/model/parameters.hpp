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
  int64_t bucket = 0;  ///< number of its bucket

  int64_t size() const { return rows * cols; }
};

/// The table of a configuration, in a fixed order and in buckets: the embeddings, each layer, and the final
/// norm with the head. A bucket's gradients are finished together.
std::vector<ParameterInfo> parameter_table(const Config& config);

/// Buckets begin at multiples of it, so that partial sums over as many elements stay within one.
constexpr int64_t kBucketAlignment = 4096;

/// Elements [first, first + size) of an arena that belong together, the padding behind them included.
struct Bucket {
  int64_t first = 0, size = 0;
  int64_t end() const { return first + size; }
};
/// The buckets of a table, together its arena; at [b] those tensors whose bucket is b.
std::vector<Bucket> buckets_of(const std::vector<ParameterInfo>& table);

/// Which tensors of a set are in memory: all, or with turns the first bucket, the last, and of those between
/// any two neighbours, which take turns in two places.
enum class Residence { whole, turns };

/// Elements that a set of numbers takes.
int64_t arena_size(const std::vector<ParameterInfo>& table, Residence residence = Residence::whole);

/// A set of tensors over one table: weights, or gradients, or an optimizer's moments.
class ParameterSet {
 public:
  /// What is held as numbers is of the device's real() type.
  ParameterSet(runtime::Device& device, std::vector<ParameterInfo> table,
               Residence residence = Residence::whole);
  /// Or of `type`: real() or compute().
  ParameterSet(runtime::Device& device, std::vector<ParameterInfo> table, Residence residence,
               runtime::DType type);

  const std::vector<ParameterInfo>& table() const { return table_; }
  size_t size() const { return table_.size(); }
  /// Where a name stands in the table.
  std::optional<size_t> find(const std::string& name) const;
  runtime::View view(size_t index) const;
  /// By name; Error{internal} if there is none.
  runtime::View view(const std::string& name) const;
  /// Elements [first, first + size) of the table's arena, 1 × size; with turns they must lie in one bucket.
  runtime::View region(int64_t first, int64_t size) const;
  /// All that is in memory, 1 × n, padding included (padding stays zero): without turns, the table's arena.
  runtime::View all() const;
  runtime::DType type() const { return arena_.view().dtype; }
  /// The arena of what is held in int8, in bytes.
  runtime::View int8_arena() const { return int8_.view(); }
  runtime::Device& device() const { return *device_; }

 private:
  runtime::Device* device_;
  std::vector<ParameterInfo> table_;
  std::vector<size_t> by_name_;  ///< indices of the table, sorted: mixtures have very many tensors
  /// With turns: a bucket, and where it lies in the arena.
  struct Place {
    Bucket bucket;
    int64_t first;
  };
  std::vector<Place> places_;
  runtime::Buffer arena_, int8_;
};

/// Draws initial weights: N(0, initial_std) from (seed, tensor index, element), the same on every device.
void initialize(ParameterSet& parameters, uint64_t seed);

}  // namespace gristmill::model
