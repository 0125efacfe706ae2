#include "train/optimizer.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
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

/// A rank's part of a table, or all of it.
Part owned_part(const std::vector<model::ParameterInfo>& table, const Ranks* ranks) {
  return part_of(
      table, ranks != nullptr ? ranks->own() : std::vector<runtime::Range>{{0, model::arena_size(table)}});
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
      part_(owned_part(table, ranks_)),
      m_(device, part_.table),
      v_(device, second_moments(part_.table, options.kind)),
      sum_(device, runtime::DType::f64, 1, 1),
      muon_(device) {
  plan();
  if (!hidden_.empty()) muon_.reserve(part_.table);
}

/// Whether what follows is as far away in all three arenas as this is long, padding included.
bool Optimizer::Range::joins(const Range& next) const {
  const int64_t distance = next.offset - offset;
  return decay == next.decay && rate_scale == next.rate_scale && next.first - first == distance &&
         next.second_offset - second_offset == distance;
}

void Optimizer::plan() {
  size_t next = 0;  // in v_'s table
  for (size_t i = 0; i < part_.table.size(); ++i) {
    const auto& info = part_.table[i];
    if (is_whole(info, options_.kind)) {
      hidden_.push_back(i);
      continue;
    }
    const Range range{part_.first[i], info.offset, v_.table()[next++].offset,
                      info.size(),    info.decay,  info.learning_rate_scale};
    if (!ranges_.empty() && ranges_.back().joins(range)) {
      ranges_.back().size = range.offset + range.size - ranges_.back().offset;
    } else {
      ranges_.push_back(range);
    }
  }
}

double Optimizer::gradient_norm(const ParameterSet& gradients) {
  if (ranks_ != nullptr) return ranks_->norm();
  const auto row = gradients.all();
  runtime::Device& device = m_.device();
  if (!squares_)
    squares_ = runtime::Buffer(device, runtime::DType::f64, 1, blocks_of({0, row.cols}).size / kBlock);
  device.backend().sum_of_squares(squares_.view(), row);
  const auto squares = runtime::read_real(device, squares_.view());
  return std::sqrt(std::accumulate(squares.begin(), squares.end(), 0.0));
}

bool Optimizer::is_finite(const ParameterSet& parameters) {
  auto& device = m_.device();
  const auto finite = [&](const ParameterSet& set) {
    return std::isfinite(sum_of_squares(set.all(), sum_.view(), device));
  };
  const bool all = finite(parameters) && finite(m_) && finite(v_);
  return ranks_ != nullptr ? !ranks_->any(!all) : all;
}

runtime::View Optimizer::gradient(const ParameterSet& gradients, int64_t first, int64_t size) const {
  return ranks_ != nullptr ? ranks_->summed(first, size) : gradients.region(first, size);
}

void Optimizer::update(ParameterSet& parameters, const ParameterSet& gradients, double norm,
                       double learning_rate, int64_t step) {
  runtime::AdamW args;
  args.learning_rate = learning_rate;
  args.beta1 = options_.beta1;
  args.beta2 = options_.beta2;
  args.epsilon = options_.epsilon;
  args.step = step;
  args.seed = options_.seed;
  if (options_.clip_norm > 0) args.gradient_scale = std::min(1.0, options_.clip_norm / (norm + 1e-6));
  update_adamw(parameters, gradients, args);
  MuonStep muon;
  muon.momentum = options_.momentum;
  muon.weight_decay = options_.weight_decay;
  muon.gradient_scale = args.gradient_scale;
  for (const size_t i : hidden_) {
    const auto& info = part_.table[i];
    const auto matrix = [&](runtime::View row) { return row.reshaped(info.rows, info.cols); };
    // Width scaling divides Adam's rate by the width, for a step of Adam's in the gradient's direction
    // changes the output by that much. An orthogonal step of the same mean square changes it by the root.
    muon.learning_rate = learning_rate * std::sqrt(info.learning_rate_scale);
    muon_.update(matrix(parameters.region(part_.first[i], info.size())), m_.view(i),
                 matrix(gradient(gradients, part_.first[i], info.size())), muon);
  }
  if (ranks_ != nullptr) ranks_->share(parameters);
}

void Optimizer::update_adamw(ParameterSet& parameters, const ParameterSet& gradients, runtime::AdamW args) {
  const double learning_rate = args.learning_rate;
  for (const auto& range : ranges_) {
    args.learning_rate = learning_rate * range.rate_scale;
    args.first = range.first;
    args.weight_decay = range.decay ? options_.weight_decay : 0;
    m_.device().backend().adamw(
        parameters.region(range.first, range.size), m_.region(range.offset, range.size),
        v_.region(range.second_offset, range.size), gradient(gradients, range.first, range.size), args);
  }
}

/// A tensor of a set, whole on rank 0; the ranks call it together.
template <class Real>
std::vector<Real> Optimizer::whole(const ParameterSet& set, const model::ParameterInfo& info) const {
  runtime::View part;
  if (is_in(set, info)) part = set.view(info.name).reshaped(1, set.view(info.name).size());
  if (ranks_ != nullptr) return ranks_->collect<Real>(part, info);
  std::vector<Real> values(static_cast<size_t>(info.size()));
  set.device().read(values.data(), part.data, values.size() * sizeof(Real));
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
    const auto first = static_cast<size_t>(part_.first[*m_.find(info.name)] - info.offset);
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
