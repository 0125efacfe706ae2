#include "train/optimizer.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "base/error.hpp"
#include "model/safetensors.hpp"

namespace gristmill::train {

using model::ParameterSet;

namespace {

void save_set(model::SafetensorsWriter& writer, const ParameterSet& set, const char* prefix) {
  for (size_t i = 0; i < set.size(); ++i) {
    const auto& info = set.table()[i];
    if (set.device().real() == runtime::DType::f64) {
      const auto values = runtime::read_real(set.device(), set.view(i));
      writer.add(prefix + info.name, info.shape, std::span<const double>(values));
    } else {
      const auto values = runtime::read_float(set.device(), set.view(i));
      writer.add(prefix + info.name, info.shape, std::span<const float>(values));
    }
  }
}

void load_set(const model::SafetensorsReader& reader, ParameterSet& set, const std::string& prefix,
              const std::string& path) {
  for (size_t i = 0; i < set.size(); ++i) {
    const auto& info = set.table()[i];
    const auto found = reader.tensors().find(prefix + info.name);
    if (found == reader.tensors().end())
      fail(Kind::input, path, ": tensor ", prefix, info.name, " is missing");
    if (found->second.shape != info.shape) {
      fail(Kind::input, path, ": tensor ", prefix, info.name, " does not have the model's shape");
    }
    const auto values = reader.read_double(prefix + info.name);
    if (!std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); })) {
      fail(Kind::input, path, ": tensor ", prefix, info.name,
           " is not finite; go back to an earlier checkpoint");
    }
    runtime::write_real(set.device(), set.view(i), std::span<const double>(values));
  }
}

}  // namespace

Optimizer::Optimizer(runtime::Device& device, const std::vector<model::ParameterInfo>& table,
                     const OptimizerOptions& options)
    : options_(options), m_(device, table), v_(device, table), sum_(device, runtime::DType::f64, 1, 1) {
  for (const auto& info : table) {
    if (!ranges_.empty() && ranges_.back().decay == info.decay) {
      ranges_.back().size = info.offset + info.size() - ranges_.back().offset;
    } else {
      ranges_.push_back({info.offset, info.size(), info.decay});
    }
  }
}

double Optimizer::gradient_norm(const ParameterSet& gradients) {
  auto& device = m_.device();
  device.backend().sum_of_squares(sum_.view(), gradients.all());
  return std::sqrt(runtime::read_real(device, sum_.view()).front());
}

void Optimizer::update(ParameterSet& parameters, const ParameterSet& gradients, double norm,
                       double learning_rate, int64_t step) {
  runtime::AdamW args;
  args.learning_rate = learning_rate;
  args.beta1 = options_.beta1;
  args.beta2 = options_.beta2;
  args.epsilon = options_.epsilon;
  args.step = step;
  if (options_.clip_norm > 0) args.gradient_scale = std::min(1.0, options_.clip_norm / (norm + 1e-6));
  for (const auto& range : ranges_) {
    args.weight_decay = range.decay ? options_.weight_decay : 0;
    const auto part = [&](const ParameterSet& set) { return set.all().col_range(range.offset, range.size); };
    m_.device().backend().adamw(part(parameters), part(m_), part(v_), part(gradients), args);
  }
}

void Optimizer::save(const std::string& path) const {
  model::SafetensorsWriter writer;
  save_set(writer, m_, "m.");
  save_set(writer, v_, "v.");
  writer.write(path);
}

void Optimizer::load(const std::string& path) {
  const model::SafetensorsReader reader(path);
  load_set(reader, m_, "m.", path);
  load_set(reader, v_, "v.", path);
}

}  // namespace gristmill::train
