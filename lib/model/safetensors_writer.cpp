// Writing safetensors: the header first, from the shapes alone, then the tensors one after another, each
// straight from where its values are.

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "model/safetensors.hpp"
#include "runtime/bfloat16.hpp"

namespace gristmill::model {

namespace {

uint16_t to_half(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000U, magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return static_cast<uint16_t>(sign | 0x7E00U);
  if (magnitude >= 0x477FF000U) return static_cast<uint16_t>(sign | 0x7C00U);  // from 65520 on: infinity
  if (magnitude < 0x38800000U) {  // below 2^-14 halves are whole multiples of 2^-24
    const float scaled = std::ldexp(std::bit_cast<float>(magnitude), 24);
    return static_cast<uint16_t>(sign | static_cast<uint32_t>(std::nearbyint(scaled)));
  }
  const uint32_t rounded = magnitude - 0x38000000U + 0xFFFU + ((magnitude >> 13) & 1U);
  return static_cast<uint16_t>(sign | (rounded >> 13));
}

std::vector<uint16_t> narrowed(const std::string& name, std::span<const float> values, StoredType type) {
  std::vector<uint16_t> narrow(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    narrow[i] = type == StoredType::f16 ? to_half(values[i]) : runtime::narrowed(values[i]);
    if (std::isfinite(values[i]) && type == StoredType::f16 && (narrow[i] & 0x7C00U) == 0x7C00U) {
      fail(Kind::input, "tensor ", name, " holds ", values[i], ", which f16 cannot; save it as bf16 or f32");
    }
  }
  return narrow;
}

/// Hands values over as they are stored.
template <class Take>
void give(const std::string& name, std::span<const float> values, StoredType type, const Take& take) {
  if (type == StoredType::f32) {
    take(values.data(), values.size_bytes());
  } else {
    const auto narrow = narrowed(name, values, type);
    take(narrow.data(), narrow.size() * sizeof(uint16_t));
  }
}

/// Values that are given now, as they are stored.
template <class Value>
auto held(std::vector<Value> values) {
  return
      [values = std::move(values)](const auto& take) { take(values.data(), values.size() * sizeof(Value)); };
}

template <class Value>
auto held(std::span<const Value> values) {
  return held(std::vector<Value>(values.begin(), values.end()));
}

const char* dtype_of(StoredType type) {
  return type == StoredType::f32 ? "F32" : type == StoredType::f16 ? "F16" : "BF16";
}

}  // namespace

void SafetensorsWriter::add(const std::string& name, const std::vector<int64_t>& shape,
                            std::span<const float> values, StoredType type) {
  Entry& entry = entries_[name] = {dtype_of(type), shape, {}};
  if (type == StoredType::f32) {
    entry.give = held(values);
  } else {
    entry.give = held(narrowed(name, values, type));
  }
}
void SafetensorsWriter::add(const std::string& name, const std::vector<int64_t>& shape,
                            std::span<const double> values) {
  entries_[name] = {"F64", shape, held(values)};
}
void SafetensorsWriter::add(const std::string& name, const std::vector<int64_t>& shape,
                            std::span<const int64_t> values) {
  entries_[name] = {"I64", shape, held(values)};
}
void SafetensorsWriter::add(const std::string& name, const std::vector<int64_t>& shape, Values<float> values,
                            StoredType type) {
  entries_[name] = {dtype_of(type), shape, [name, type, values = std::move(values)](const Take& take) {
                      const auto now = values();
                      give(name, now, type, take);
                    }};
}
void SafetensorsWriter::add(const std::string& name, const std::vector<int64_t>& shape,
                            Values<double> values) {
  entries_[name] = {"F64", shape, [values = std::move(values)](const Take& take) {
                      const auto now = values();
                      take(now.data(), now.size() * sizeof(double));
                    }};
}
void SafetensorsWriter::add(const std::string& name, const std::vector<int64_t>& shape,
                            runtime::Device& device, runtime::ConstView values, StoredType type) {
  const runtime::ConstView row = values.reshaped(1, values.size());
  entries_[name] = {dtype_of(type), shape, [name, type, row, &device](const Take& take) {
                      for (int64_t at = 0; at < row.cols; at += kPiece) {
                        const int64_t count = std::min(kPiece, row.cols - at);
                        give(name, runtime::read_float(device, row.col_range(at, count)), type, take);
                      }
                    }};
}

void SafetensorsWriter::set_metadata(const std::string& key, const std::string& value) {
  metadata_[key] = value;
}

uint64_t SafetensorsWriter::Entry::size(const std::string& name) const {
  uint64_t total = element_size(dtype, name);
  for (const int64_t extent : shape) total *= static_cast<uint64_t>(extent);
  return total;
}

std::string SafetensorsWriter::header() const {
  Json header = Json::object();
  for (const auto& [key, value] : metadata_) header["__metadata__"][key] = value;
  uint64_t offset = 0;
  for (const auto& [name, entry] : entries_) {
    const uint64_t end = offset + entry.size(name);
    Json shape = Json::array();
    for (const int64_t extent : entry.shape) shape.push_back(extent);
    Json& item = header[name];
    item["dtype"] = entry.dtype;
    item["shape"] = std::move(shape);
    item["data_offsets"] = Json::Array{Json(offset), Json(end)};
    offset = end;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');  // readers map the data and want it aligned
  return text;
}

void SafetensorsWriter::write(const std::string& path) const {
  const std::string text = header();
  const uint64_t size = text.size();
  OutputFile file(path);
  file.write(&size, sizeof size);
  file.write(text);
  for (const auto& [name, entry] : entries_) {
    uint64_t written = 0;
    entry.give([&](const void* bytes, size_t count) {
      file.write(bytes, count);
      written += count;
    });
    if (written != entry.size(name)) {
      fail(Kind::internal, "tensor ", name, " does not have its shape's size");
    }
  }
  file.close();
}

void SafetensorsWriter::produce() const {
  for (const auto& [name, entry] : entries_) entry.give([](const void*, size_t) {});
}

}  // namespace gristmill::model
