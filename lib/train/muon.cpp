#include "train/muon.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

namespace gristmill::train {

using runtime::ConstView;
using runtime::View;

namespace {

constexpr int kIterations = 5;
constexpr double kA = 3.4445, kB = -4.7750, kC = 2.0315;
constexpr double kRootMeanSquare = 0.2;

runtime::Matmul product(View out, ConstView a, ConstView b) {
  runtime::Matmul args;
  args.out = out;
  args.a = a;
  args.b = b;
  return args;
}

}  // namespace

bool is_hidden_matrix(const model::ParameterInfo& info) {
  const std::string_view name = info.name;
  const bool in_layer = name.starts_with("model.layers.") || name.starts_with("transformer.h.");
  return in_layer && info.decay && info.rows > 1 && info.cols > 1;
}

Muon::Muon(runtime::Device& device)
    : device_(&device),
      direction_(device),
      next_(device),
      gram_(device),
      square_(device),
      polynomial_(device),
      sum_(device, runtime::DType::f64, 1, 1) {}

runtime::ArenaParts Muon::parts(Muon* place, const std::vector<model::ParameterInfo>& table,
                                runtime::DType real) {
  int64_t size = 0, side = 0;
  for (const auto& info : table) {
    if (!is_hidden_matrix(info)) continue;
    size = std::max(size, info.size());
    side = std::max(side, std::min(info.rows, info.cols));
  }
  runtime::ArenaParts parts;
  for (const auto member : {&Muon::direction_, &Muon::next_}) parts.add(place, member, real, size);
  for (const auto member : {&Muon::gram_, &Muon::square_, &Muon::polynomial_})
    parts.add(place, member, real, side * side);
  return parts;
}

int64_t Muon::bytes(const std::vector<model::ParameterInfo>& table, runtime::DType real) {
  return parts(nullptr, table, real).bytes();
}

void Muon::reserve(const std::vector<model::ParameterInfo>& table) {
  arena_ = parts(this, table, device_->real()).allocate(*device_);
}

void Muon::scaled(View out, double scale, ConstView in) {
  device_->backend().fill(out, 0);
  device_->backend().axpy(out, scale, in);
}

double Muon::norm(ConstView x) {
  device_->backend().sum_of_squares(sum_.view(), x);
  return std::sqrt(runtime::read_real(*device_, sum_.view()).front());
}

View Muon::orthogonalize(View x) {
  auto& backend = device_->backend();
  const double length = norm(x);
  if (!(length > 0)) return x;
  const bool tall = x.rows > x.cols;  // the small side is multiplied with itself
  const int64_t side = std::min(x.rows, x.cols);
  const View gram = gram_.get(x.dtype, side, side), square = square_.get(x.dtype, side, side),
             polynomial = polynomial_.get(x.dtype, side, side);
  View now = next_.get(x.dtype, x.rows, x.cols), next = x;
  scaled(now, 1 / length, x);
  for (int i = 0; i < kIterations; ++i) {
    auto outer = product(gram, now, now);
    (tall ? outer.transpose_a : outer.transpose_b) = true;
    backend.matmul(outer);
    backend.matmul(product(square, gram, gram));
    scaled(polynomial, kB, gram);
    backend.axpy(polynomial, kC, square);
    scaled(next, kA, now);
    auto step = tall ? product(next, now, polynomial) : product(next, polynomial, now);
    step.accumulate = true;
    backend.matmul(step);
    std::swap(now, next);
  }
  return now;
}

void Muon::update(View weight, View momentum, ConstView gradient, const MuonStep& step) {
  auto& backend = device_->backend();
  const View direction = direction_.get(weight.dtype, weight.rows, weight.cols);
  scaled(direction, step.momentum, momentum);
  backend.axpy(direction, step.gradient_scale, gradient);
  backend.copy(momentum, direction);
  scaled(direction, step.momentum, momentum);
  backend.axpy(direction, step.gradient_scale, gradient);
  const View update = orthogonalize(direction);
  const View change =
      update.data == direction.data ? next_.get(weight.dtype, weight.rows, weight.cols) : direction;
  const auto longer = static_cast<double>(std::max(weight.rows, weight.cols));
  scaled(change, -step.learning_rate * kRootMeanSquare * std::sqrt(longer), update);
  backend.axpy(change, -step.learning_rate * step.weight_decay, weight);
  backend.axpy(weight, 1, change);
}

}  // namespace gristmill::train
