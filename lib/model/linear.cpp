#include "model/linear.hpp"

#include "base/error.hpp"

namespace gristmill::model {

using runtime::Backend;
using runtime::ConstView;
using runtime::View;

bool has_parameter(const ParameterSet& parameters, const std::string& name) {
  return parameters.find(name).has_value();
}

size_t parameter_index(const ParameterSet& parameters, const std::string& name) {
  if (const auto index = parameters.find(name)) return *index;
  fail(Kind::internal, "the model has no parameter ", name);
}

int64_t Linear::Region::end() const {
  return offset + (storage == Storage::real ? rows * cols : runtime::int8_bytes(rows, cols));
}

View Linear::Region::view(const ParameterSet& set) const {
  if (storage != Storage::real) return runtime::int8_matrix(set.int8_arena(), offset, rows, cols);
  return set.region(offset, rows * cols).reshaped(rows, cols);
}

Linear::Piece Linear::piece(const ParameterSet& parameters, const std::string& prefix) {
  const auto region = [&](const std::string& name) {
    const auto& info = parameters.table()[parameter_index(parameters, name)];
    return Region{info.offset, info.rows, info.cols, info.storage};
  };
  Piece result;
  result.weight = region(prefix + ".weight");
  if (has_parameter(parameters, prefix + ".bias")) result.bias = region(prefix + ".bias");
  return result;
}

Linear Linear::linear(const ParameterSet& parameters, const std::vector<std::string>& prefixes) {
  Linear result;
  auto& pieces = result.pieces_;
  for (const auto& prefix : prefixes) {
    const Piece next = piece(parameters, prefix);
    const bool touches = !pieces.empty() && pieces.back().weight.end() == next.weight.offset &&
                         (next.weight.storage == Storage::real || pieces.back().weight.fills_strips()) &&
                         (next.bias.rows == 0 || pieces.back().bias.end() == next.bias.offset);
    if (touches) {
      pieces.back().weight.rows += next.weight.rows;
      pieces.back().bias.cols += next.bias.cols;
    } else {
      pieces.push_back(next);
    }
  }
  return result;
}

Linear Linear::conv1d(const ParameterSet& parameters, const std::string& prefix) {
  Linear result;
  result.conv1d_ = true;
  result.pieces_ = {piece(parameters, prefix)};
  return result;
}

runtime::Matmul Linear::product(const Piece& piece, const Weights& weights, View out, ConstView in) const {
  runtime::Matmul product;
  product.out = out;
  product.a = in;
  product.b = piece.weight.view(weights.parameters);
  product.transpose_b = outputs_are_rows(piece);
  product.keep_b = true;
  if (piece.bias.rows > 0) product.bias = piece.bias.view(weights.parameters);
  return product;
}

void Linear::forward(Backend& backend, const Weights& weights, View out, ConstView in,
                     ConstView residual) const {
  int64_t column = 0;
  for (const auto& piece : pieces_) {
    const int64_t width = outputs_are_rows(piece) ? piece.weight.rows : piece.weight.cols;
    auto product = this->product(piece, weights, out.col_range(column, width), in);
    if (residual) product.residual = residual.col_range(column, width);
    backend.matmul(product);
    column += width;
  }
}

void Linear::forward(Backend& backend, const Weights& weights, View out, ConstView in,
                     runtime::Activation activation, View activated) const {
  if (pieces_.size() == 1) {
    auto product = this->product(pieces_.front(), weights, out, in);
    product.activation = activation;
    product.activated = activated;
    return backend.matmul(product);
  }
  forward(backend, weights, out, in);
  activation == runtime::Activation::gelu ? backend.gelu(activated, out) : backend.swiglu(activated, out);
}

void Linear::backward(Backend& backend, const Weights& weights, View din, ConstView dout,
                      ConstView in) const {
  int64_t column = 0;
  for (const auto& piece : pieces_) {
    const int64_t width = conv1d_ ? piece.weight.cols : piece.weight.rows;
    const ConstView slice = dout.col_range(column, width);
    runtime::Matmul gradient;  // of the weight
    gradient.out = piece.weight.view(*weights.gradients);
    gradient.a = conv1d_ ? in : slice;
    gradient.b = conv1d_ ? slice : in;
    gradient.transpose_a = true;
    gradient.accumulate = true;
    backend.matmul(gradient);
    runtime::Matmul input;
    input.out = din;
    input.a = slice;
    input.b = piece.weight.view(weights.parameters);
    input.transpose_b = conv1d_;
    input.keep_b = true;
    input.accumulate = column > 0;
    backend.matmul(input);
    if (piece.bias.rows > 0) backend.sum_rows(piece.bias.view(*weights.gradients), slice);
    column += width;
  }
}

Norm::Norm(const ParameterSet& parameters, const std::string& prefix, double epsilon)
    : weight_(parameter_index(parameters, prefix + ".weight")),
      has_bias_(has_parameter(parameters, prefix + ".bias")),
      epsilon_(epsilon) {
  if (has_bias_) bias_ = parameter_index(parameters, prefix + ".bias");
}

void Norm::forward(Backend& backend, const Weights& weights, View out, View statistics, ConstView in) const {
  const auto& set = weights.parameters;
  if (has_bias_) {
    backend.layernorm(out, statistics, in, set.view(weight_), set.view(bias_), epsilon_);
  } else {
    backend.rmsnorm(out, statistics, in, set.view(weight_), epsilon_);
  }
}

void Norm::backward(Backend& backend, const Weights& weights, View din, bool accumulate_din, ConstView dout,
                    ConstView in, ConstView statistics) const {
  const ConstView weight = weights.parameters.view(weight_);
  auto& gradients = *weights.gradients;
  if (has_bias_) {
    backend.layernorm_backward(din, accumulate_din, gradients.view(weight_), gradients.view(bias_), dout, in,
                               weight, statistics);
  } else {
    backend.rmsnorm_backward(din, accumulate_din, gradients.view(weight_), dout, in, weight, statistics);
  }
}

}  // namespace gristmill::model
