#pragma once

// The oracle's Backend: checks, then the plain loops of this folder.

#include "runtime/backend.hpp"
#include "runtime/checks.hpp"
#include "runtime/matrix.hpp"
#include "runtime/reference/attention.hpp"
#include "runtime/reference/elementary.hpp"
#include "runtime/reference/experts.hpp"
#include "runtime/reference/head.hpp"
#include "runtime/reference/int8.hpp"
#include "runtime/reference/norms.hpp"
#include "runtime/reference/sampling.hpp"

namespace gristmill::runtime::reference {

template <class Real>
class ReferenceBackend : public Backend {
 public:
  static constexpr DType kReal = sizeof(Real) == 8 ? DType::f64 : DType::f32;

  void fill(View out, double value) override {
    checks::fill(out, kReal);
    reference::fill<Real>(out, static_cast<Real>(value));
  }
  void copy(View out, ConstView in) override {
    if (in.dtype == DType::i32 && out.dtype == DType::i32) {
      checks::same_shape("copy", out, in, DType::i32);
      return reference::copy<int32_t>(out, in);
    }
    checks::same_shape("copy", out, in, kReal);
    reference::copy<Real>(out, in);
  }
  void axpy(View out, double scale, ConstView in) override {
    checks::same_shape("axpy", out, in, kReal);
    reference::axpy<Real>(out, static_cast<Real>(scale), in);
  }
  void gather_rows(View out, ConstView in, ConstView rows) override {
    checks::gather_rows(out, in, rows, kReal);
    reference::gather_rows<Real>(out, in, rows);
  }
  void scatter_rows(View out, ConstView in, ConstView rows) override {
    checks::scatter_rows(out, in, rows, kReal);
    reference::scatter_rows<Real>(out, in, rows);
  }
  void sum_rows(View out, ConstView in) override {
    checks::sum_rows(out, in, kReal);
    reference::sum_rows<Real>(out, in);
  }
  void sum_of_squares(View out, ConstView in) override {
    checks::sum_of_squares(out, in, kReal);
    const int64_t width = out.cols == 1 ? in.cols : kSquaresBlock;
    for (int64_t block = 0; block < out.cols; ++block) {
      const int64_t first = block * width;
      Matrix<double>(out).at(0, block) =
          reference::sum_of_squares<Real>(in.col_range(first, std::min(width, in.cols - first)));
    }
  }
  void matmul(const Matmul& args) override {
    checks::matmul(args, kReal);
    const Dequantized<Real> b(args.b);
    Matmul plain = args;
    plain.b = b.view();
    reference::matmul<Real>(plain);
    if (args.activation == Activation::gelu) gelu(args.activated, args.out);
    if (args.activation == Activation::swiglu) swiglu(args.activated, args.out);
  }
  void quantize(View out, ConstView weight, bool transposed) override {
    checks::quantize(out, weight, transposed, kReal);
    reference::quantize<Real>(out, weight, transposed);
  }
  void embedding(View out, ConstView table, ConstView ids, bool accumulate) override {
    checks::embedding(out, table, ids, kReal);
    reference::embedding<Real>(out, Dequantized<Real>(table).view(), ids, accumulate);
  }
  void embedding_backward(View dtable, ConstView dout, ConstView ids) override {
    checks::embedding(dout, dtable, ids, kReal);
    checks::embedding_gradient(dtable, kReal);
    reference::embedding_backward<Real>(dtable, dout, ids);
  }
  void rmsnorm(View out, View rstd, ConstView in, ConstView weight, double eps) override {
    checks::rmsnorm(out, rstd, in, weight, kReal);
    reference::rmsnorm<Real>(out, rstd, in, weight, eps);
  }
  void rmsnorm_backward(View din, bool accumulate_din, View dweight, ConstView dout, ConstView in,
                        ConstView weight, ConstView rstd) override {
    checks::rmsnorm(din, rstd, in, weight, kReal);
    checks::rmsnorm(dout, rstd, in, weight, kReal);
    checks::norm_gradients("rmsnorm_backward", dweight, {}, in.cols, kReal);
    reference::rmsnorm_backward<Real>(din, accumulate_din, dweight, dout, in, weight, rstd);
  }
  void layernorm(View out, View moments, ConstView in, ConstView weight, ConstView bias,
                 double eps) override {
    checks::layernorm(out, moments, in, weight, bias, kReal);
    reference::layernorm<Real>(out, moments, in, weight, bias, eps);
  }
  void layernorm_backward(View din, bool accumulate_din, View dweight, View dbias, ConstView dout,
                          ConstView in, ConstView weight, ConstView moments) override {
    checks::layernorm(din, moments, in, weight, weight, kReal);
    checks::layernorm(dout, moments, in, weight, weight, kReal);
    checks::norm_gradients("layernorm_backward", dweight, dbias, in.cols, kReal);
    reference::layernorm_backward<Real>(din, accumulate_din, dweight, dbias, dout, in, weight, moments);
  }
  void rotary(View x, ConstView positions, ConstView inverse_frequency, int64_t heads, int64_t head_dim,
              bool inverse) override {
    checks::rotary(x, positions, inverse_frequency, heads, head_dim, kReal);
    reference::rotary<Real>(x, positions, inverse_frequency, heads, head_dim, inverse);
  }
  void attention(View out, View lse, ConstView q, ConstView k, ConstView v, ConstView document_starts,
                 const AttentionShape& shape) override {
    checks::attention(out, lse, q, k, v, document_starts, shape, kReal);
    reference::attention<Real>(out, lse, q, k, v, document_starts, shape);
  }
  void attention_backward(View dq, View dk, View dv, ConstView dout, ConstView q, ConstView k, ConstView v,
                          ConstView out, ConstView lse, ConstView document_starts,
                          const AttentionShape& shape) override {
    checks::attention(out, lse, q, k, v, document_starts, shape, kReal);
    checks::attention_gradients(dq, dk, dv, dout, q, k, kReal);
    reference::attention_backward<Real>(dq, dk, dv, dout, q, k, v, out, lse, document_starts, shape);
  }
  void cached_attention(View out, ConstView q, ConstView cache_k, ConstView cache_v, ConstView sequence,
                        ConstView length, int64_t capacity, const AttentionShape& shape) override {
    checks::cached_attention(out, q, cache_k, cache_v, sequence, length, capacity, shape, kReal);
    reference::cached_attention<Real>(out, q, cache_k, cache_v, sequence, length, capacity, shape);
  }
  void swiglu(View out, ConstView gate_up) override {
    checks::swiglu(out, gate_up, kReal);
    reference::swiglu<Real>(out, gate_up);
  }
  void swiglu_backward(View dgate_up, ConstView dout, ConstView gate_up) override {
    checks::swiglu(dout, gate_up, kReal);
    checks::swiglu(dout, dgate_up, kReal);
    reference::swiglu_backward<Real>(dgate_up, dout, gate_up);
  }
  void gelu(View out, ConstView in) override {
    checks::same_shape("gelu", out, in, kReal);
    reference::gelu<Real>(out, in);
  }
  void gelu_backward(View din, ConstView dout, ConstView in) override {
    checks::same_shape("gelu_backward", din, in, kReal);
    checks::same_shape("gelu_backward", dout, in, kReal);
    reference::gelu_backward<Real>(din, dout, in);
  }
  void route(const Routing& out, ConstView logits) override {
    checks::route(out, logits, kReal);
    reference::route<Real>(out, logits);
  }
  void route_backward(View dlogits, ConstView dweights, const Routing& routing,
                      const RouterGradients& gradients) override {
    checks::route_gradients(dlogits, dweights, routing, gradients, kReal);
    reference::route_backward<Real>(dlogits, dweights, routing, gradients);
  }
  void grouped_matmul(const GroupedMatmul& args) override {
    checks::grouped_matmul(args, kReal);
    reference::grouped_matmul<Real>(args);
  }
  void grouped_matmul_gradient(View dweight, int64_t expert_stride, ConstView dout, ConstView a,
                               ConstView offsets) override {
    checks::grouped_matmul_gradient(dweight, expert_stride, dout, a, offsets, kReal);
    reference::grouped_matmul_gradient<Real>(dweight, expert_stride, dout, a, offsets);
  }
  void combine_rows(View out, ConstView in, ConstView weights, ConstView places,
                    ConstView residual) override {
    checks::combine_rows(out, in, weights, places, residual, kReal);
    reference::combine_rows<Real>(out, in, weights, places, residual);
  }
  void combine_rows_backward(View din, View dweights, ConstView dout, ConstView in, ConstView weights,
                             ConstView places) override {
    checks::combine_rows_gradients(din, dweights, dout, in, weights, places, kReal);
    reference::combine_rows_backward<Real>(din, dweights, dout, in, weights, places);
  }
  void head(const HeadValues& values, ConstView hidden, ConstView weight, ConstView targets,
            double logit_scale) override {
    checks::head(values, hidden, weight, targets, kReal);
    reference::head<Real>(values, hidden, Dequantized<Real>(weight).view(), targets, logit_scale);
  }
  void head_backward(View dhidden, bool accumulate_dweight, View dweight, const HeadValues& values,
                     ConstView hidden, ConstView weight, ConstView targets, const HeadGradients& gradients,
                     double logit_scale) override {
    checks::head(values, hidden, weight, targets, kReal);
    checks::head_gradients(dhidden, dweight, gradients, hidden, weight, kReal);
    reference::head_backward<Real>(dhidden, accumulate_dweight, dweight, values, hidden, weight, targets,
                                   gradients, logit_scale);
  }
  void adamw(View parameter, View m, View v, ConstView gradient, const AdamW& args) override {
    checks::adamw(parameter, m, v, gradient, kReal);
    reference::adamw<Real>(parameter, m, v, gradient, args);
  }
  void sample(View ids, View log_prob, ConstView logits, ConstView uniforms, const Sampling& args) override {
    checks::sample(ids, log_prob, logits, uniforms, kReal);
    reference::sample<Real>(ids, log_prob, logits, uniforms, args);
  }
};

}  // namespace gristmill::runtime::reference
