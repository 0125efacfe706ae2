// What a product makes of its result on the way: the same bits as the calls one after the other.

#include <cstdint>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/str.hpp"
#include "lab.hpp"
#include "runtime/int8.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

/// The product with its activation, and the product and then the activation.
void check_equal(Lab& lab, Matmul args, Activation activation) {
  const int64_t rows = args.out.rows, cols = args.out.cols;
  const View together = lab.computed(rows, activation == Activation::gelu ? cols : cols / 2),
             apart = lab.computed(rows, together.cols);
  lab.backend().matmul(args);
  activation == Activation::gelu ? lab.backend().gelu(apart, args.out)
                                 : lab.backend().swiglu(apart, args.out);
  const auto product = lab.read(args.out);
  lab.backend().copy(args.out, lab.real(rows, cols));
  args.activation = activation;
  args.activated = together;
  lab.backend().matmul(args);
  CHECK((lab.read(args.out) == product));
  CHECK((lab.read(together) == lab.read(apart)));
}

}  // namespace

TEST_CASE("a product with its activation gives the bits of both calls", "[runtime]") {
  // One row and few (decoding), many; halves that are whole panels of any instruction set, and not.
  for (const auto& [isa, compute] : available_arithmetics()) {
    const auto device = open_cpu_at(isa, 2, compute);
    for (const auto& [rows, cols] : std::vector<std::pair<int64_t, int64_t>>{
             {1, 2}, {1, 640}, {20, 130}, {20, 64}, {65, 130}, {230, 320}}) {
      Lab lab(*device);
      INFO(rows << " x " << cols << " on " << isa);
      for (const bool transposed : {false, true}) {
        Matmul args;
        args.out = lab.computed(rows, cols);
        args.a = lab.computed(rows, 90);
        args.b = transposed ? lab.real(cols, 90) : lab.real(90, cols);
        args.transpose_b = transposed;
        args.keep_b = transposed;
        args.bias = lab.real(1, cols);
        args.residual = lab.real(rows, cols);
        check_equal(lab, args, Activation::gelu);
        check_equal(lab, args, Activation::swiglu);
      }
    }
  }
}

TEST_CASE("a product of more than one pass, or of no depth, makes its activation at the end", "[runtime]") {
  for (const auto& [isa, compute] : available_arithmetics()) {
    const auto device = open_cpu_at(isa, 2, compute);
    for (const int64_t depth : {0, 1700}) {
      Lab lab(*device);
      INFO("depth " << depth << " on " << isa);
      Matmul args;
      args.out = lab.computed(100, 128);
      args.a = lab.computed(100, depth);
      args.b = lab.real(128, depth);
      args.transpose_b = true;
      args.bias = lab.real(1, 128);
      check_equal(lab, args, Activation::gelu);
      check_equal(lab, args, Activation::swiglu);
    }
  }
}

TEST_CASE("a product with a weight in int8 makes activations too", "[runtime]") {
  for (const auto& [isa, compute] : available_arithmetics()) {
    const auto device = open_cpu_at(isa, 2, compute);
    Lab lab(*device);
    Matmul args;
    args.out = lab.computed(20, 64);
    args.a = lab.computed(20, 50);
    args.b = lab.int8(64, 50, 1, false);
    args.transpose_b = true;
    check_equal(lab, args, Activation::gelu);
    check_equal(lab, args, Activation::swiglu);
  }
}

TEST_CASE("activations that do not fit their product are refused", "[runtime]") {
  for (const bool reference : {false, true}) {
    const auto device = reference ? open_reference_device(DType::f32) : open_device("cpu", 1);
    Lab lab(*device);
    Matmul args;
    args.out = lab.real(3, 4);
    args.a = lab.real(3, 5);
    args.b = lab.real(5, 4);
    args.activation = Activation::gelu;
    CHECK_THROWS_AS(lab.backend().matmul(args), Error);  // no place for it
    args.activated = lab.real(3, 2);
    CHECK_THROWS_AS(lab.backend().matmul(args), Error);
    args.activation = Activation::swiglu;
    CHECK_NOTHROW(lab.backend().matmul(args));
    args.accumulate = true;
    CHECK_THROWS_AS(lab.backend().matmul(args), Error);
  }
}
