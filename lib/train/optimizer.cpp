#include "train/optimizer.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "base/error.hpp"

namespace gristmill::train {

using model::ParameterSet;

namespace {

double sum_of_squares(runtime::ConstView in, runtime::View sum, runtime::Device& device) {
  if (in.cols == 0) return 0;  // a rank may own nothing
  device.backend().sum_of_squares(sum, in);
  return runtime::read_real(device, sum).front();
}

/// The part of a table that lies in `own`, laid out from its begin. A tensor that is cut is a row of
/// elements.
std::vector<model::ParameterInfo> part_of(const std::vector<model::ParameterInfo>& table,
                                          runtime::Range own) {
  std::vector<model::ParameterInfo> part;
  for (model::ParameterInfo info : table) {
    const int64_t whole = info.size(), first = std::max(info.offset, own.first),
                  size = std::min(info.offset + whole, own.end()) - first;
    if (size <= 0) continue;
    if (size < whole) {
      info.shape = {size};
      info.rows = 1;
      info.cols = size;
    }
    info.offset = first - own.first;
    part.push_back(std::move(info));
  }
  return part;
}

bool is_in(const ParameterSet& set, const model::ParameterInfo& info) {
  return set.find(info.name).has_value();
}

std::vector<double> read_moment(const model::SafetensorsReader& reader, const std::string& name,
                                const std::vector<int64_t>& shape, const std::string& path) {
  const auto found = reader.tensors().find(name);
  if (found == reader.tensors().end()) fail(Kind::input, path, ": tensor ", name, " is missing");
  if (found->second.shape != shape)
    fail(Kind::input, path, ": tensor ", name, " does not have the model's shape");
  auto values = reader.read_double(name);
  if (!std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); }))
    fail(Kind::input, path, ": tensor ", name, " is not finite; go back to an earlier checkpoint");
  return values;
}

}  // namespace

bool is_whole(const model::ParameterInfo& info, OptimizerKind kind) {
  return kind == OptimizerKind::muon && is_hidden_matrix(info);
}

std::vector<model::ParameterInfo> second_moments(const std::vector<model::ParameterInfo>& table,
                                                 OptimizerKind kind) {
  constexpr int64_t kAlignment = 16;  // elements, as in the model's table: ranges keep their lengths
  std::vector<model::ParameterInfo> result;
  int64_t next = 0;
  for (const auto& info : table) {
    if (is_whole(info, kind)) continue;
    result.push_back(info);
    result.back().offset = next;
    next += (info.size() + kAlignment - 1) / kAlignment * kAlignment;
  }
  return result;
}

Optimizer::Optimizer(runtime::Device& device, const std::vector<model::ParameterInfo>& table,
                     const OptimizerOptions& options, Ranks* ranks)
    : options_(options),
      ranks_(ranks != nullptr && ranks->size() > 1 ? ranks : nullptr),
      table_(table),
      own_(ranks_ != nullptr ? ranks_->own() : runtime::Range{0, std::numeric_limits<int64_t>::max()}),
      m_(device, part_of(table, own_)),
      v_(device, second_moments(m_.table(), options.kind)),
      sum_(device, runtime::DType::f64, 1, 1),
      muon_(device) {
  plan(m_.table());
  if (!hidden_.empty()) muon_.reserve(m_.table());
}

void Optimizer::plan(const std::vector<model::ParameterInfo>& table) {
  size_t next = 0;  // in v_'s table
  bool joins = false;
  for (size_t i = 0; i < table.size(); ++i) {
    const auto& info = table[i];
    if (is_whole(info, options_.kind)) {
      hidden_.push_back(i);
      joins = false;
      continue;
    }
    if (joins && ranges_.back().decay == info.decay &&
        ranges_.back().rate_scale == info.learning_rate_scale) {
      ranges_.back().size = info.offset + info.size() - ranges_.back().offset;
    } else {
      ranges_.push_back(
          {info.offset, v_.table()[next].offset, info.size(), info.decay, info.learning_rate_scale});
    }
    joins = true;
    ++next;
  }
}

double Optimizer::gradient_norm(const ParameterSet& gradients) {
  if (ranks_ != nullptr) return ranks_->norm(gradients);
  return std::sqrt(sum_of_squares(gradients.all(), sum_.view(), m_.device()));
}

bool Optimizer::is_finite() {
  auto& device = m_.device();
  const bool finite = std::isfinite(sum_of_squares(m_.all(), sum_.view(), device)) &&
                      std::isfinite(sum_of_squares(v_.all(), sum_.view(), device));
  return ranks_ != nullptr ? !ranks_->any(!finite) : finite;
}

runtime::View Optimizer::own(const ParameterSet& set, int64_t offset, int64_t size) const {
  return set.all().col_range(own_.first + offset, size);
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
  muon.momentum = options_.momentum;
  muon.weight_decay = options_.weight_decay;
  muon.gradient_scale = args.gradient_scale;
  for (const size_t i : hidden_) {
    const auto& info = m_.table()[i];
    const auto part = [&](const ParameterSet& set) {
      return own(set, info.offset, info.size()).reshaped(info.rows, info.cols);
    };
    // Width scaling divides Adam's rate by the width, for a step of Adam's in the gradient's direction
    // changes the output by that much. An orthogonal step of the same mean square changes it by the root.
    muon.learning_rate = learning_rate * std::sqrt(info.learning_rate_scale);
    muon_.update(part(parameters), m_.view(i), part(gradients), muon);
  }
  if (ranks_ != nullptr) ranks_->share(parameters);
}

void Optimizer::update_adamw(ParameterSet& parameters, const ParameterSet& gradients, runtime::AdamW args) {
  const double learning_rate = args.learning_rate;
  for (const auto& range : ranges_) {
    args.learning_rate = learning_rate * range.rate_scale;
    args.weight_decay = range.decay ? options_.weight_decay : 0;
    m_.device().backend().adamw(
        own(parameters, range.offset, range.size), m_.all().col_range(range.offset, range.size),
        v_.all().col_range(range.second_offset, range.size), own(gradients, range.offset, range.size), args);
  }
}

/// A tensor of a set, whole on rank 0; the ranks call it together.
template <class Real>
std::vector<Real> Optimizer::whole(const ParameterSet& set, const model::ParameterInfo& info) const {
  const auto sizes = ranks_ != nullptr ? ranks_->sizes_of(info) : std::vector<int64_t>{info.size()};
  const auto mine = is_in(set, info) ? set.view(info.name).reshaped(1, sizes[rank()]) : runtime::View();
  if (ranks_ != nullptr) return ranks_->collect<Real>(mine, sizes);
  std::vector<Real> values(static_cast<size_t>(info.size()));
  set.device().read(values.data(), mine.data, values.size() * sizeof(Real));
  return values;
}

void Optimizer::save_set(model::SafetensorsWriter& writer, const ParameterSet& set,
                         const char* prefix) const {
  using Writer = model::SafetensorsWriter;
  const bool is_second = &set == &v_;
  for (const auto& info : table_) {
    if (is_second && is_whole(info, options_.kind)) continue;
    const std::string name = prefix + info.name;
    if (set.device().real() == runtime::DType::f64) {
      writer.add(name, info.shape,
                 Writer::Values<double>([this, &set, &info] { return whole<double>(set, info); }));
    } else if (ranks_ == nullptr) {
      writer.add(name, info.shape, set.device(), set.view(info.name));
    } else {
      writer.add(name, info.shape,
                 Writer::Values<float>([this, &set, &info] { return whole<float>(set, info); }));
    }
  }
}

void Optimizer::load_set(const model::SafetensorsReader& reader, ParameterSet& set, const std::string& prefix,
                         const std::string& path) {
  for (const auto& info : table_) {
    if (!is_in(set, info)) continue;
    const auto values = read_moment(reader, prefix + info.name, info.shape, path);
    const auto view = set.view(info.name);
    const auto first = static_cast<size_t>(std::max<int64_t>(0, own_.first - info.offset));
    runtime::write_real(set.device(), view,
                        std::span<const double>(values).subspan(first, static_cast<size_t>(view.size())));
  }
}

size_t Optimizer::rank() const { return ranks_ != nullptr ? static_cast<size_t>(ranks_->rank()) : 0; }

void Optimizer::save(const std::string& path) const {
  model::SafetensorsWriter writer;
  save_set(writer, m_, "m.");
  save_set(writer, v_, "v.");
  if (rank() == 0) {
    writer.write(path);
  } else {
    writer.produce();
  }
}

void Optimizer::load(const std::string& path) {
  const model::SafetensorsReader reader(path);
  load_set(reader, m_, "m.", path);
  load_set(reader, v_, "v.", path);
}

}  // namespace gristmill::train
