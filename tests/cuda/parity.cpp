#include "parity.hpp"

#include <algorithm>
#include <cstdlib>

#include "cuda/cublas/cublas.hpp"
#include "cuda/driver/driver.hpp"
#include "emulator/cublas/emulated_cublas.hpp"
#include "emulator/driver/emulated_driver.hpp"
#include "lab.hpp"
#include "support/catch.hpp"

namespace gristmill::runtime::test {

namespace {

struct Setting {
  int64_t gap = 0;
  bool halves = false, mixed = false;
};

constexpr int kThreads = 2;

Outputs run(Device& device, const Scenario& scenario, const Setting& setting) {
  Lab lab(device);
  lab.set_gap(setting.gap);
  lab.set_halves(setting.halves);
  lab.set_mixed(setting.mixed);
  Outputs outputs = scenario.run(lab);
  CHECK(lab.gaps_are_whole());
  return outputs;
}

/// Everything twice on the same device: a kernel that depends on what an earlier call left behind shows.
void check(Device& device, const Scenario& scenario, const Outputs& expected, const Setting& setting,
           double tolerance) {
  INFO(scenario.name << (setting.gap > 0 ? " in wider matrices" : "")
                     << (setting.mixed ? " of mixed types" : "") << " on " << device.name());
  const Outputs found = run(device, scenario, setting);
  CHECK(difference(expected, found) <= tolerance);
  CHECK((run(device, scenario, setting) == found));
}

std::string parity_device() {
  const char* name = std::getenv("GRISTMILL_PARITY_DEVICE");
  return name == nullptr ? "emu" : name;
}

}  // namespace

bool is_emulated() { return parity_device() == "emu"; }

std::unique_ptr<Device> open_parity_device(int threads, DType compute) {
  return open_device(parity_device(), threads, compute);
}

std::unique_ptr<Device> open_with_library(DType compute, const cuda::LibraryOptions& large, bool library) {
  cuda::DeviceOptions options;
  options.compute = compute;
  options.library = large;
  if (!is_emulated()) {
    options.cublas = library ? cuda::find_cublas().functions : nullptr;
    return cuda::open_gpu(cuda::load_driver(), 0, "cuda", options);
  }
  options.cublas = library ? &emulator::emulated_cublas() : nullptr;
  return cuda::open_gpu(emulator::emulated_driver(), emulator::add_gpu({.seed = 0, .threads = kThreads}),
                        "emu", options);
}

void check_exact(const std::vector<Scenario>& scenarios) {
  check_exact(scenarios, *open_parity_device(kThreads));
}

void check_mixed(const std::vector<Scenario>& scenarios) {
  check_mixed(scenarios, *open_parity_device(kThreads, DType::bf16));
}

void check_exact(const std::vector<Scenario>& scenarios, Device& device) {
  const auto oracle = open_reference_device(DType::f64);
  for (const Scenario& scenario : scenarios) {
    for (const int64_t gap : {0, 3}) {
      check(device, scenario, run(*oracle, scenario, {gap}), {gap}, scenario.tolerance);
    }
  }
}

void check_mixed(const std::vector<Scenario>& scenarios, Device& device) {
  const auto oracle = open_reference_device(DType::f64);
  for (const Scenario& scenario : scenarios) {
    const Outputs expected = run(*oracle, scenario, {0, true, false});
    const double tolerance = half_tolerance_of(scenario.name);
    for (const bool mixed : {false, true}) {
      check(device, scenario, expected, {mixed ? 3 : 0, true, mixed}, tolerance);
    }
  }
}

std::vector<Scenario> only(const std::vector<Scenario>& scenarios, const std::vector<std::string>& methods) {
  std::vector<Scenario> chosen;
  for (const Scenario& scenario : scenarios) {
    const std::string method = scenario.name.substr(0, scenario.name.find(' '));
    if (std::find(methods.begin(), methods.end(), method) != methods.end()) chosen.push_back(scenario);
  }
  return chosen;
}

}  // namespace gristmill::runtime::test
