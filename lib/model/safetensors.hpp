#pragma once

// safetensors files: u64 header length, JSON header {name: {dtype, shape, data_offsets}}, data.

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace gristmill::model {

struct TensorInfo {
  std::string dtype;  ///< "F32", "F16", "BF16", "F64", "I32", "I64", "U64"
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  ///< bytes from the start of the data
};

/// Reads a file's header at once and tensors on demand. Every length is checked against the file's size
/// before use.
class SafetensorsReader {
 public:
  explicit SafetensorsReader(const std::string& path);
  ~SafetensorsReader();
  const std::map<std::string, TensorInfo>& tensors() const;
  const std::map<std::string, std::string>& metadata() const;
  /// Values as float (F32, F16, BF16, F64) or as double; Error{input} for other types or an absent name.
  std::vector<float> read_float(const std::string& name) const;
  std::vector<double> read_double(const std::string& name) const;
  std::vector<int64_t> read_int(const std::string& name) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// How real numbers are stored; f16 and bf16 are rounded to nearest, ties to even.
enum class StoredType { f32, f16, bf16 };

/// Collects tensors and writes them in the order of their names, atomically.
class SafetensorsWriter {
 public:
  /// Error{input} naming the tensor if f16 cannot hold a finite value.
  void add(const std::string& name, const std::vector<int64_t>& shape, std::span<const float> values,
           StoredType type = StoredType::f32);
  void add(const std::string& name, const std::vector<int64_t>& shape, std::span<const double> values);
  void add(const std::string& name, const std::vector<int64_t>& shape, std::span<const int64_t> values);
  void set_metadata(const std::string& key, const std::string& value);
  void write(const std::string& path) const;

 private:
  struct Entry {
    std::string dtype;
    std::vector<int64_t> shape;
    std::string bytes;
  };
  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace gristmill::model
