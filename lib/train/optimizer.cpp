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

bool trains_with_muon(const model::ParameterInfo& info, OptimizerKind kind) {
  return kind == OptimizerKind::muon && is_hidden_matrix(info);
}

double sum_of_squares(runtime::ConstView in, runtime::View sum, runtime::Device& device) {
  device.backend().sum_of_squares(sum, in);
  return runtime::read_real(device, sum).front();
}

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

std::vector<model::ParameterInfo> second_moments(const std::vector<model::ParameterInfo>& table,
                                                 OptimizerKind kind) {
  constexpr int64_t kAlignment = 16;  // elements, as in the model's table: ranges keep their lengths
  std::vector<model::ParameterInfo> result;
  int64_t next = 0;
  for (const auto& info : table) {
    if (trains_with_muon(info, kind)) continue;
    result.push_back(info);
    result.back().offset = next;
    next += (info.size() + kAlignment - 1) / kAlignment * kAlignment;
  }
  return result;
}

Optimizer::Optimizer(runtime::Device& device, const std::vector<model::ParameterInfo>& table,
                     const OptimizerOptions& options)
    : options_(options),
      m_(device, table),
      v_(device, second_moments(table, options.kind)),
      sum_(device, runtime::DType::f64, 1, 1),
      muon_(device) {
  plan(table);
}

void Optimizer::plan(const std::vector<model::ParameterInfo>& table) {
  size_t next = 0;  // in v_'s table
  bool joins = false;
  for (size_t i = 0; i < table.size(); ++i) {
    const auto& info = table[i];
    if (trains_with_muon(info, options_.kind)) {
      hidden_.push_back(i);
      joins = false;
      continue;
    }
    if (joins && ranges_.back().decay == info.decay) {
      ranges_.back().size = info.offset + info.size() - ranges_.back().offset;
    } else {
      ranges_.push_back({info.offset, v_.table()[next].offset, info.size(), info.decay});
    }
    joins = true;
    ++next;
  }
}

double Optimizer::gradient_norm(const ParameterSet& gradients) {
  return std::sqrt(sum_of_squares(gradients.all(), sum_.view(), m_.device()));
}

bool Optimizer::is_finite() {
  auto& device = m_.device();
  return std::isfinite(sum_of_squares(m_.all(), sum_.view(), device)) &&
         std::isfinite(sum_of_squares(v_.all(), sum_.view(), device));
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
  update_adamw(parameters, gradients, args);
  MuonStep muon;
  muon.learning_rate = learning_rate;
  muon.momentum = options_.momentum;
  muon.weight_decay = options_.weight_decay;
  muon.gradient_scale = args.gradient_scale;
  for (const size_t i : hidden_) muon_.update(parameters.view(i), m_.view(i), gradients.view(i), muon);
}

void Optimizer::update_adamw(ParameterSet& parameters, const ParameterSet& gradients, runtime::AdamW args) {
  for (const auto& range : ranges_) {
    args.weight_decay = range.decay ? options_.weight_decay : 0;
    const auto part = [&](const ParameterSet& set) { return set.all().col_range(range.offset, range.size); };
    m_.device().backend().adamw(part(parameters), part(m_),
                                v_.all().col_range(range.second_offset, range.size), part(gradients), args);
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
