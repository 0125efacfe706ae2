// Every backward of the f64 reference against central differences of its forward. The other devices are
// compared with the reference.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "differences.hpp"
#include "lab.hpp"
#include "support/catch.hpp"

using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

View zeros(Lab& lab, int64_t rows, int64_t cols) {
  return lab.values(rows, cols, std::vector<double>(static_cast<size_t>(rows * cols), 0.0));
}

}  // namespace

TEST_CASE("gradients of the norms match differences", "[runtime]") {
  const auto device = open_reference_device(DType::f64);
  Lab lab(*device);
  const View in = lab.real(3, 5), weight = lab.real(1, 5), bias = lab.real(1, 5), out = lab.real(3, 5),
             dout = lab.real(3, 5);
  const View rstd = lab.real(3, 1), moments = lab.real(3, 2), din = lab.real(3, 5),
             dweight = zeros(lab, 1, 5), dbias = zeros(lab, 1, 5);
  const auto upstream = lab.read(dout);
  const auto rms_loss = [&] {
    lab.backend().rmsnorm(out, rstd, in, weight, 1e-2);
    return dot(lab.read(out), upstream);
  };
  rms_loss();
  lab.backend().rmsnorm_backward(din, false, dweight, dout, in, weight, rstd);
  check_close(lab.read(din), differences(lab, in, rms_loss));
  check_close(lab.read(dweight), differences(lab, weight, rms_loss));
  const auto layer_loss = [&] {
    lab.backend().layernorm(out, moments, in, weight, bias, 1e-2);
    return dot(lab.read(out), upstream);
  };
  layer_loss();
  lab.backend().fill(dweight, 0);
  lab.backend().layernorm_backward(din, false, dweight, dbias, dout, in, weight, moments);
  check_close(lab.read(din), differences(lab, in, layer_loss));
  check_close(lab.read(dweight), differences(lab, weight, layer_loss));
  check_close(lab.read(dbias), differences(lab, bias, layer_loss));
}

TEST_CASE("gradients of activations, rotary positions and embeddings match differences", "[runtime]") {
  const auto device = open_reference_device(DType::f64);
  Lab lab(*device);
  const View gate_up = lab.real(2, 6, 2), out = lab.real(2, 3), dout = lab.real(2, 3),
             dgate_up = lab.real(2, 6);
  const auto swiglu_loss = [&] {
    lab.backend().swiglu(out, gate_up);
    return dot(lab.read(out), lab.read(dout));
  };
  lab.backend().swiglu_backward(dgate_up, dout, gate_up);
  check_close(lab.read(dgate_up), differences(lab, gate_up, swiglu_loss));

  const View in = lab.real(2, 3, 2), din = lab.real(2, 3);
  const auto gelu_loss = [&] {
    lab.backend().gelu(out, in);
    return dot(lab.read(out), lab.read(dout));
  };
  lab.backend().gelu_backward(din, dout, in);
  check_close(lab.read(din), differences(lab, in, gelu_loss));

  const View x = lab.real(2, 8), turned = lab.real(2, 8), upstream = lab.real(2, 8),
             positions = lab.ints({3, 11});
  const View frequency = lab.values(1, 2, {1.0, 0.01});
  const auto weights = lab.read(upstream);
  const auto rotary_loss = [&] {
    lab.backend().copy(turned, x);
    lab.backend().rotary(turned, positions, frequency, 2, 4, false);
    return dot(lab.read(turned), weights);
  };
  lab.backend().rotary(upstream, positions, frequency, 2, 4, true);
  check_close(lab.read(upstream), differences(lab, x, rotary_loss));

  const View table = lab.real(4, 3), dtable = zeros(lab, 4, 3), ids = lab.ints({2, 2}), rows = lab.real(2, 3);
  const auto embedding_loss = [&] {
    lab.backend().embedding(rows, table, ids, false);
    return dot(lab.read(rows), lab.read(dout));
  };
  lab.backend().embedding_backward(dtable, dout, ids);
  check_close(lab.read(dtable), differences(lab, table, embedding_loss));
}

TEST_CASE("gradients of attention match differences", "[runtime]") {
  const auto device = open_reference_device(DType::f64);
  Lab lab(*device);
  const AttentionShape shape{4, 2, 3, 0.6};
  const View q = lab.real(6, 12), k = lab.real(6, 6), v = lab.real(6, 6), out = lab.real(6, 12),
             lse = lab.real(6, 4);
  const View dout = lab.real(6, 12), dq = lab.real(6, 12), dk = lab.real(6, 6), dv = lab.real(6, 6),
             starts = lab.ints({0, 1, 5, 6});
  const auto loss = [&] {
    lab.backend().attention(out, lse, q, k, v, starts, shape);
    return dot(lab.read(out), lab.read(dout));
  };
  loss();
  lab.backend().attention_backward(dq, dk, dv, dout, q, k, v, out, lse, starts, shape);
  check_close(lab.read(dq), differences(lab, q, loss));
  check_close(lab.read(dk), differences(lab, k, loss));
  check_close(lab.read(dv), differences(lab, v, loss));
}

TEST_CASE("gradients of the head match differences for each of its values", "[runtime]") {
  const auto device = open_reference_device(DType::f64);
  for (int wanted = 0; wanted < 4; ++wanted) {  // log_prob, lse, entropy, all
    Lab lab(*device);
    const View hidden = lab.real(4, 3), weight = lab.real(5, 3), targets = lab.ints({0, 4, 2, 2});
    const View dhidden = lab.real(4, 3), dweight = zeros(lab, 5, 3);
    const HeadValues values{lab.real(4, 1), lab.real(4, 1), lab.real(4, 1)};
    HeadGradients gradients;
    const View upstream[] = {lab.real(4, 1), lab.real(4, 1), lab.real(4, 1)};
    if (wanted == 0 || wanted == 3) gradients.log_prob = upstream[0];
    if (wanted == 1 || wanted == 3) gradients.lse = upstream[1];
    if (wanted == 2 || wanted == 3) gradients.entropy = upstream[2];
    const auto loss = [&] {
      lab.backend().head(values, hidden, weight, targets, 0.7);
      double sum = 0;
      if (gradients.log_prob) sum += dot(lab.read(values.log_prob), lab.read(upstream[0]));
      if (gradients.lse) sum += dot(lab.read(values.lse), lab.read(upstream[1]));
      if (gradients.entropy) sum += dot(lab.read(values.entropy), lab.read(upstream[2]));
      return sum;
    };
    lab.backend().head_backward(dhidden, true, dweight, {}, hidden, weight, targets, gradients, 0.7);
    INFO("value " << wanted);
    check_close(lab.read(dhidden), differences(lab, hidden, loss));
    check_close(lab.read(dweight), differences(lab, weight, loss));
  }
}
