#include "model/quantized.hpp"

#include <algorithm>
#include <string_view>

#include "base/error.hpp"
#include "runtime/backend.hpp"
#include "runtime/int8.hpp"

namespace gristmill::model {

namespace {

constexpr int64_t kAlignment = 16;        // elements of the arena of numbers
constexpr int64_t kStagedRows = 32 * 64;  // whole strips: numbers of so many rows wait on the device

bool is_conv1d(std::string_view name) {
  return name.ends_with(".c_attn.weight") || name.ends_with(".c_fc.weight") ||
         name.ends_with(".c_proj.weight");
}

Storage int8_storage(const ParameterInfo& info) {
  const std::string_view name = info.name;
  if (is_conv1d(name)) return Storage::int8_turned;
  const bool dense = name.ends_with("_proj.weight") || name.ends_with("embed_tokens.weight") ||
                     name.ends_with(".wte.weight") || name == "lm_head.weight";
  return dense ? Storage::int8 : Storage::real;
}

template <class Value>
void write_values(ParameterSet& parameters, size_t index, std::span<const Value> values) {
  const auto& info = parameters.table().at(index);
  auto& device = parameters.device();
  if (info.storage == Storage::real) return runtime::write_real(device, parameters.view(index), values);
  const bool turned = info.storage == Storage::int8_turned;
  if (static_cast<int64_t>(values.size()) != info.size()) {
    fail(Kind::internal, "tensor ", info.name, " of ", info.size(), " elements is given ", values.size());
  }
  const int64_t step = turned ? info.rows : std::min(info.rows, kStagedRows);
  const runtime::Buffer staged(device, device.real(), turned ? info.cols : step, turned ? step : info.cols);
  for (int64_t first = 0; first < info.rows; first += step) {
    const int64_t rows = std::min(step, info.rows - first);
    const runtime::View part = turned ? staged.view() : runtime::View(staged.view().row_range(0, rows));
    runtime::write_real(
        device, part,
        values.subspan(static_cast<size_t>(first * info.cols), static_cast<size_t>(part.size())));
    const int64_t offset = info.offset + runtime::int8_bytes(first, info.cols);
    device.backend().quantize(runtime::int8_matrix(parameters.int8_arena(), offset, rows, info.cols), part,
                              turned);
  }
}

}  // namespace

runtime::DType number_type(const runtime::Device& device, WeightStorage storage) {
  if (storage != WeightStorage::bf16) return device.real();
  if (device.compute() == runtime::DType::bf16) return runtime::DType::bf16;
  fail(Kind::usage, "weights in bf16 go with arithmetic in bf16: add --dtype bf16");
}

std::vector<ParameterInfo> stored_table(const Config& config, WeightStorage storage) {
  auto table = parameter_table(config);
  if (storage != WeightStorage::int8) return table;
  int64_t next = 0, next_byte = 0;
  for (auto& info : table) {
    info.storage = int8_storage(info);
    if (info.storage == Storage::int8_turned) std::swap(info.rows, info.cols);
    if (info.storage == Storage::real) {
      info.offset = next;
      next += (info.size() + kAlignment - 1) / kAlignment * kAlignment;
      continue;
    }
    if (info.cols > runtime::kInt8MostCols) {
      fail(Kind::input, "tensor ", info.name, " has rows of ", info.cols, ", and int8 weights at most ",
           runtime::kInt8MostCols, "; use the weights as they are");
    }
    info.offset = next_byte;
    next_byte += runtime::int8_bytes(info.rows, info.cols);
  }
  return table;
}

void write_parameter(ParameterSet& parameters, size_t index, std::span<const float> values) {
  write_values(parameters, index, values);
}
void write_parameter(ParameterSet& parameters, size_t index, std::span<const double> values) {
  write_values(parameters, index, values);
}

}  // namespace gristmill::model
