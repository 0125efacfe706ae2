// Weights in int8 on the emulated GPU: the contract's scenarios, and bytes and bits that are those of the
// CPU.

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "parity.hpp"
#include "runtime/int8.hpp"
#include "support/catch.hpp"

using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

const std::vector<std::string> kMethods = {"int8_matmul", "embedding"};

std::vector<unsigned char> bytes_of(Device& device, int64_t rows, int64_t cols, bool transposed,
                                    bool broken) {
  Lab lab(device);
  lab.set_gap(transposed ? 3 : 0);
  std::vector<double> values = lab.read(lab.real(transposed ? cols : rows, transposed ? rows : cols));
  if (broken) values.front() = std::numeric_limits<double>::infinity();
  values.back() = 0;
  const View weight = lab.values(transposed ? cols : rows, transposed ? rows : cols, values);
  const int64_t size = int8_bytes(rows, cols);
  const Buffer memory(device, DType::i8, 1, size);
  device.backend().quantize(int8_matrix(memory.view(), 0, rows, cols), weight, transposed);
  std::vector<unsigned char> bytes(static_cast<size_t>(size));
  device.read(bytes.data(), memory.view().data, bytes.size());
  return bytes;
}

/// A product of numbers of every magnitude, on one device.
std::vector<double> product_on(Device& device) {
  Lab lab(device);
  Matmul args;
  args.a = lab.real(11, 70, 3);
  args.b = lab.int8(45, 70, 0.5, false);
  args.transpose_b = true;
  args.out = lab.real(11, 45);
  lab.backend().matmul(args);
  return lab.read(args.out);
}

}  // namespace

TEST_CASE("products and embeddings with int8 on a GPU keep the contract", "[cuda]") {
  check_exact(only(int8_scenarios(), kMethods));
}
TEST_CASE("products and embeddings with int8 on a GPU keep the contract in bf16", "[cuda]") {
  check_mixed(only(int8_scenarios(), kMethods));
}

TEST_CASE("a GPU makes the bytes of a weight in int8 that the CPU makes", "[cuda]") {
  const auto cpu = open_device("cpu", 1), gpu = open_parity_device(2);
  for (const auto& [rows, cols] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {31, 5}, {32, 128}, {33, 131}, {70, 300}}) {
    for (const bool transposed : {false, true}) {
      for (const bool broken : {false, true}) {
        INFO(rows << " x " << cols << (transposed ? " transposed" : "") << (broken ? " broken" : ""));
        auto expected = bytes_of(*cpu, rows, cols, transposed, broken);
        auto found = bytes_of(*gpu, rows, cols, transposed, broken);
        CHECK((expected == found));
      }
    }
  }
}

TEST_CASE("a GPU's product with int8 has the bits of the CPU's", "[cuda]") {
  const auto cpu = open_device("cpu", 1), gpu = open_parity_device(2);
  CHECK((product_on(*cpu) == product_on(*gpu)));
}
