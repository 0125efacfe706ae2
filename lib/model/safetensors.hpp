#pragma once

// safetensors files: u64 header length, JSON header {name: {dtype, shape, data_offsets}}, data.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/device.hpp"
#include "runtime/tensor.hpp"

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

/// Bytes of one element of a dtype of the format; Error{input} naming `where` for others.
uint64_t element_size(const std::string& dtype, const std::string& where);

/// Writes tensors in the order of their names, atomically. Values may be given now, or as functions that
/// write() calls one after another, or as memory of a device that it reads piece by piece, so that a file
/// larger than what memory is left can be written. What is not given now must outlive write().
class SafetensorsWriter {
 public:
  template <class Real>
  using Values = std::function<std::vector<Real>()>;
  /// Elements of a device's memory that are on the host at once.
  static constexpr int64_t kPiece = int64_t{1} << 20;

  void add(const std::string& name, const std::vector<int64_t>& shape, std::span<const float> values,
           StoredType type = StoredType::f32);
  void add(const std::string& name, const std::vector<int64_t>& shape, std::span<const double> values);
  void add(const std::string& name, const std::vector<int64_t>& shape, std::span<const int64_t> values);
  void add(const std::string& name, const std::vector<int64_t>& shape, Values<float> values,
           StoredType type = StoredType::f32);
  void add(const std::string& name, const std::vector<int64_t>& shape, Values<double> values);
  /// A dense view of real numbers, or of bf16.
  void add(const std::string& name, const std::vector<int64_t>& shape, runtime::Device& device,
           runtime::ConstView values, StoredType type = StoredType::f32);
  void set_metadata(const std::string& key, const std::string& value);
  /// Error{input} naming the tensor if f16 cannot hold a finite value.
  void write(const std::string& path) const;
  /// Calls the functions as write() does, for nothing: where several processes give the values together and
  /// one of them writes.
  void produce() const;

 private:
  using Take = std::function<void(const void* bytes, size_t size)>;
  struct Entry {
    std::string dtype;
    std::vector<int64_t> shape;
    std::function<void(const Take&)> give;  ///< all bytes, in one piece or several
    uint64_t size(const std::string& name) const;
  };
  std::string header() const;

  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace gristmill::model
