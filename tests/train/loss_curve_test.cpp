// The losses of one small run, written down: whatever changes in kernels, model, optimizer, schedule or order
// of the data, the curve stays.

#include <array>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/scratch.hpp"
#include "support/streams.hpp"
#include "train/train_fixtures.hpp"

using namespace gristmill;

namespace {

constexpr size_t kSteps = 30;
constexpr std::array<double, kSteps> kLosses = {
    3.39402474, 3.36389813, 3.29615010, 3.22489789, 3.14696083, 3.09389417, 3.01532501, 2.92249953,
    2.80917565, 2.74861971, 2.71943921, 2.64251177, 2.65411321, 2.54625593, 2.49565778, 2.39200946,
    2.39002016, 2.37750679, 2.31992992, 2.25830742, 2.21380108, 2.21506011, 2.16441253, 2.22675272,
    2.15939565, 2.30301649, 2.15289214, 2.17154833, 2.03314119, 2.15879374};

std::vector<double> losses(runtime::Device& device,
                           model::WeightStorage weights = model::WeightStorage::real) {
  const test::ScratchFolder folder;
  auto options = test::tiny_train(folder.file("run"));
  options.checkpoint_every = options.validate_every = 0;
  options.schedule.warmup_share = 0.1;
  options.weights = weights;
  options.compute = device.compute();
  auto pretrain = test::tiny_pretrain();
  pretrain.tokens = static_cast<int64_t>(kSteps) * 64;
  test::run_tiny(device, options, pretrain);
  std::vector<double> values;
  for (const auto& line : train::read_metrics(options.run_dir)) {
    values.push_back(line.at("loss").as_double());
  }
  return values;
}

/// The device with an instruction set, or null where this machine or build has not got it.
std::unique_ptr<runtime::Device> device_with(const char* isa, runtime::DType compute) {
  const test::ScopedVariable variable("GRISTMILL_ISA", isa);
  try {
    return runtime::open_device("cpu", 2, compute);
  } catch (const Error&) {
    return nullptr;
  }
}

}  // namespace

TEST_CASE("thirty steps give the losses written down, with every instruction set", "[train]") {
  for (const char* isa : {"scalar", "avx2", "avx512", "avx512bf16"}) {
    const auto device = device_with(isa, runtime::DType::f32);
    if (device == nullptr) continue;
    INFO(isa);
    const auto values = losses(*device);
    REQUIRE(values.size() == kSteps);
    for (size_t i = 0; i < kSteps; ++i) CHECK(values[i] == Approx(kLosses[i]).epsilon(1e-4));
  }
}

TEST_CASE("in bf16 the losses stay near, and are the same with any number of threads", "[train]") {
  std::vector<double> first;
  for (const int threads : {1, 3}) {
    const auto device = runtime::open_device("cpu", threads, runtime::DType::bf16);
    const auto values = losses(*device);
    REQUIRE(values.size() == kSteps);
    for (size_t i = 0; i < kSteps; ++i) CHECK(values[i] == Approx(kLosses[i]).epsilon(2e-2));
    CHECK(std::abs(values.back() - kLosses.back()) > 1e-6);  // it is another arithmetic
    if (first.empty()) first = values;
    CHECK(values == first);
  }
}

TEST_CASE("with weights in bf16 the losses stay near too", "[train]") {
  const auto device = runtime::open_device("cpu", 2, runtime::DType::bf16);
  const auto values = losses(*device, model::WeightStorage::bf16);
  REQUIRE(values.size() == kSteps);
  for (size_t i = 0; i < kSteps; ++i) CHECK(values[i] == Approx(kLosses[i]).epsilon(2e-2));
  CHECK(values != losses(*device));
}
