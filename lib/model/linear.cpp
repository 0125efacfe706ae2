#include "model/linear.hpp"

#include "base/error.hpp"

namespace gristmill::model {

using runtime::Backend;
using runtime::ConstView;
using runtime::View;

bool has_parameter(const ParameterSet& parameters, const std::string& name) {
  for (const auto& info : parameters.table()) {
    if (info.name == name) return true;
  }
  return false;
}

size_t parameter_index(const ParameterSet& parameters, const std::string& name) {
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (parameters.table()[i].name == name) return i;
  }
  fail(Kind::internal, "the model has no parameter ", name);
}

View Linear::Piece::view(const ParameterSet& set) const {
  return set.all().col_range(offset, rows * cols).reshaped(rows, cols);
}

Linear Linear::linear(const ParameterSet& parameters, const std::vector<std::string>& names) {
  Linear result;
  for (const auto& name : names) {
    const auto& info = parameters.table()[parameter_index(parameters, name)];
    auto& pieces = result.pieces_;
    if (!pieces.empty() && pieces.back().offset + pieces.back().rows * pieces.back().cols == info.offset) {
      pieces.back().rows += info.rows;
    } else {
      pieces.push_back({info.offset, info.rows, info.cols});
    }
  }
  return result;
}

Linear Linear::conv1d(const ParameterSet& parameters, const std::string& prefix) {
  Linear result;
  result.conv1d_ = true;
  const auto& weight = parameters.table()[parameter_index(parameters, prefix + ".weight")];
  const auto& bias = parameters.table()[parameter_index(parameters, prefix + ".bias")];
  result.pieces_ = {{weight.offset, weight.rows, weight.cols}};
  result.bias_ = {bias.offset, bias.rows, bias.cols};
  return result;
}

void Linear::forward(Backend& backend, const Weights& weights, View out, ConstView in,
                     ConstView residual) const {
  int64_t column = 0;
  for (const auto& piece : pieces_) {
    const int64_t width = conv1d_ ? piece.cols : piece.rows;
    runtime::Matmul product;
    product.out = out.col_range(column, width);
    product.a = in;
    product.b = piece.view(weights.parameters);
    product.transpose_b = !conv1d_;
    product.keep_b = true;
    if (conv1d_) product.bias = bias_.view(weights.parameters);
    if (residual) product.residual = residual.col_range(column, width);
    backend.matmul(product);
    column += width;
  }
}

void Linear::backward(Backend& backend, const Weights& weights, View din, ConstView dout,
                      ConstView in) const {
  int64_t column = 0;
  for (const auto& piece : pieces_) {
    const int64_t width = conv1d_ ? piece.cols : piece.rows;
    const ConstView slice = dout.col_range(column, width);
    runtime::Matmul gradient;  // of the weight
    gradient.out = piece.view(*weights.gradients);
    gradient.a = conv1d_ ? in : slice;
    gradient.b = conv1d_ ? slice : in;
    gradient.transpose_a = true;
    gradient.accumulate = true;
    backend.matmul(gradient);
    runtime::Matmul input;
    input.out = din;
    input.a = slice;
    input.b = piece.view(weights.parameters);
    input.transpose_b = conv1d_;
    input.keep_b = true;
    input.accumulate = column > 0;
    backend.matmul(input);
    column += width;
  }
  if (conv1d_) backend.sum_rows(bias_.view(*weights.gradients), dout);
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
