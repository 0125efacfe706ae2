#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "lab.hpp"
#include "scenarios.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

Kind kind_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.kind();
  }
  FAIL("no error");
  return Kind::internal;
}

/// The signal that ends a child which reads (or writes) `address`; 0 if it lives.
int signal_of_access(void* address, bool write) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGSEGV, SIG_DFL);
    volatile char* memory = static_cast<char*>(address);
    if (write) *memory = 1;
    const char value = *memory;
    ::_exit(value == 1 ? 1 : 0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

}  // namespace

TEST_CASE("devices open by name, and what cannot be opened says why", "[runtime]") {
  CHECK(open_device("cpu", 1)->name().substr(0, 5) == "cpu (");
  CHECK(open_device("auto", 1)->real() == DType::f32);
  CHECK(kind_of([] { open_device("cuda:9999", 1); }) == Kind::device);
  for (const char* name : {"tpu", "cudaX", "cuda:", "cuda:-1", "cuda:1x", "cuda:99999999999", "emu:1"}) {
    CHECK(kind_of([&] { open_device(name, 1); }) == Kind::usage);
  }
  CHECK(kind_of([] { open_cpu_at("sse9", 1); }) == Kind::usage);
  CHECK(open_cpu_at("scalar", 1)->name() == "cpu (scalar)");
}

TEST_CASE("device memory is zeroed, aligned, and too much of it is an error", "[runtime]") {
  const auto device = open_device("cpu", 1);
  Buffer buffer(*device, DType::f32, 1, 1500001);
  CHECK(reinterpret_cast<uintptr_t>(buffer.view().data) % 64 == 0);
  for (const float value : read_float(*device, buffer.view())) REQUIRE(value == 0);
  CHECK(kind_of([&] { Buffer(*device, DType::f32, int64_t{1} << 31, int64_t{1} << 24); }) == Kind::device);
  CHECK(kind_of([&] { Buffer(*device, DType::f32, int64_t{1} << 40, int64_t{1} << 40); }) == Kind::internal);
  const Buffer empty(*device, DType::f32, 0, 5);
  CHECK(empty);
}

TEST_CASE("scratch grows on demand and keeps what is enough", "[runtime]") {
  const auto device = open_device("cpu", 1);
  Scratch scratch(*device);
  const View first = scratch.get(DType::f64, 4, 5);
  CHECK(first.size() == 20);
  CHECK(scratch.get(DType::f32, 3, 3).data == first.data);
  CHECK(scratch.get(DType::f32, 8, 5).data == first.data);
  const View larger = scratch.get(DType::f32, 100, 100);
  write_real(*device, larger, std::vector<float>(10000, 2.0F));
  CHECK(read_float(*device, larger)[9999] == 2.0F);
}

TEST_CASE("shapes and types that do not fit are internal errors on every device", "[runtime]") {
  const auto cpu = open_device("cpu", 1), reference = open_reference_device(DType::f64);
  for (Device* device : {cpu.get(), reference.get()}) {
    Lab lab(*device);
    const View a = lab.real(2, 3), b = lab.real(4, 3), out = lab.real(2, 4);
    CHECK(kind_of([&] {
            lab.backend().matmul({out, a, false, b, false, false, false, {}, {}});
          }) == Kind::internal);
    CHECK(kind_of([&] {
            lab.backend().matmul({out, a, false, b, true, true, false, lab.real(1, 4), {}});
          }) == Kind::internal);
    CHECK(kind_of([&] { lab.backend().axpy(a, 1, b); }) == Kind::internal);
    CHECK(kind_of([&] { lab.backend().copy(a, lab.ints({1, 2})); }) == Kind::internal);
    CHECK(kind_of([&] { lab.backend().embedding(lab.real(1, 3), a, lab.ints({2}), false); }) ==
          Kind::internal);
    CHECK(kind_of([&] { lab.backend().embedding_backward(a, lab.real(1, 3), lab.ints({-1})); }) ==
          Kind::internal);
    CHECK(kind_of([&] { lab.backend().head({}, a, b, lab.ints({0, -100}), 1); }) == Kind::internal);
    const AttentionShape shape{1, 1, 3, 1};
    CHECK(kind_of([&] {
            lab.backend().attention(a, lab.real(2, 1), a, a, a, lab.ints({0, 3}), shape);
          }) == Kind::internal);
    CHECK(kind_of([&] {
            lab.backend().cached_attention(a, a, b, b, lab.ints({0, 0}), lab.ints({1, 5}), 4, shape);
          }) == Kind::internal);
  }
}

TEST_CASE("methods accept views of no rows", "[runtime]") {
  const auto cpu = open_device("cpu", 2), reference = open_reference_device(DType::f64);
  for (Device* device : {cpu.get(), reference.get()}) {
    Lab lab(*device);
    const View none = lab.real(0, 4), weight = lab.values(3, 4, std::vector<double>(12, 1.0)),
               column = lab.real(0, 1);
    lab.backend().matmul({lab.real(0, 3), none, false, weight, true, false, false, {}, {}});
    lab.backend().head_backward(none, true, weight, {}, none, weight, lab.ints({}), {}, 1);
    const View overwritten = lab.real(3, 4);
    lab.backend().head_backward(none, false, overwritten, {}, none, weight, lab.ints({}), {}, 1);
    CHECK((lab.read(overwritten) == std::vector<double>(12, 0.0)));
    lab.backend().rmsnorm_backward(none, false, weight.row_range(0, 1), none, none, weight.row_range(1, 1),
                                   column);
    lab.backend().attention(none, column, none, none, none, lab.ints({0}), {1, 1, 4, 1});
    lab.backend().sum_rows(weight.row_range(0, 1), none);
    CHECK((lab.read(weight) == std::vector<double>(12, 1.0)));
    const View out = lab.real(2, 3);  // a product over nothing is zero
    lab.backend().matmul({out, lab.real(2, 0), false, lab.real(3, 0), true, false, false, {}, {}});
    CHECK((lab.read(out) == std::vector<double>(6, 0.0)));
  }
}

TEST_CASE("exponentials overflow and underflow as they should", "[runtime]") {
  for (const auto& isa : available_isas()) {
    const auto device = open_cpu_at(isa, 1);
    Lab lab(*device);
    std::vector<double> gates;
    for (int i = -1200; i <= 1200; ++i) gates.push_back(static_cast<float>(i * 0.1));
    const auto size = static_cast<int64_t>(gates.size());
    std::vector<double> gate_up = gates;
    gate_up.resize(2 * gates.size(), 1.0);
    const View out = lab.real(1, size);
    lab.backend().swiglu(out, lab.values(1, 2 * size, gate_up));
    const auto values = lab.read(out);
    for (size_t i = 0; i < gates.size(); ++i) {
      const double expected = gates[i] / (1 + std::exp(-gates[i]));
      INFO(isa << " at " << gates[i]);
      const bool tiny = std::abs(expected) < 1e-36;
      CHECK(std::abs(values[i] - expected) <= (tiny ? 1e-36 : 1e-6 * std::abs(expected)));
    }
  }
}

TEST_CASE("the guard lets kernels work and faults on the host", "[runtime]") {
  const auto plain = open_device("cpu", 2);
  const auto guarded = guard_device(open_device("cpu", 2));
  CHECK(guarded->name().find("guarded cpu") == 0);
  for (const Scenario& scenario : all_scenarios()) {
    Lab expected(*plain), found(*guarded);
    INFO(scenario.name);
    CHECK((scenario.run(found) == scenario.run(expected)));
  }
  const Buffer buffer(*guarded, DType::f32, 1, 4);
  CHECK(signal_of_access(buffer.view().data, false) == SIGSEGV);
  CHECK(signal_of_access(buffer.view().data, true) == SIGSEGV);
  const Buffer open(*plain, DType::f32, 1, 4);
  CHECK(signal_of_access(open.view().data, true) == 0);
}
