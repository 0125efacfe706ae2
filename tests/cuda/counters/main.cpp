// kernel-counters: launches every shipped kernel on the emulated GPU, checks what comes out against the
// reference in double precision, and prints what the emulator counted as JSON, which scripts/kernel-budget
// compares with cuda/kernel-budget.json. A kernel that is not launched is an error.

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <map>
#include <string>

#include "base/cli.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/str.hpp"
#include "cuda/counters/counted.hpp"
#include "cuda/mutants/kernels.hpp"
#include "emulator/driver/emulated_driver.hpp"
#include "lab.hpp"
#include "runtime/device.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

void check(Device& device, Device& oracle, const Scenario& scenario, bool halves) {
  const auto run = [&](Device& on) {
    Lab lab(on);
    lab.set_halves(halves);
    return scenario.run(lab);
  };
  const double tolerance = halves ? half_tolerance_of(scenario.name) : scenario.tolerance;
  const double found = difference(run(oracle), run(device));
  if (!(found <= tolerance)) {
    fail(Kind::internal, scenario.name, halves ? " in bf16" : "", ": ", found, " off, at most ", tolerance);
  }
}

Json told(const emulator::KernelUse& use, uint64_t threads) {
  const emulator::Counters& counters = use.counters;
  Json json = Json::object();
  json["launches"] = use.launches;
  json["threads"] = threads;
  json["instructions"] = counters.warp_instructions;
  json["sectors"] = counters.global_sectors;
  json["sectors_ideal"] = counters.global_sectors_ideal;
  json["wavefronts"] = counters.shared_wavefronts;
  json["wavefronts_ideal"] = counters.shared_wavefronts_ideal;
  json["barriers"] = counters.barriers;
  json["mma"] = counters.mma;
  return json;
}

void run(int threads) {
  std::map<std::string, uint64_t> block;  // the largest of each kernel
  emulator::set_launch_observer([&](auto&, const auto& kernel, const auto& launch, const auto&) {
    block[kernel.name] = std::max(block[kernel.name], launch.block.count());
  });
  const auto oracle = open_reference_device(DType::f64);
  for (const DType compute : {DType::f32, DType::bf16}) {
    const auto device = open_device("emu", threads, compute);
    for (const Scenario& scenario : counted_scenarios()) {
      check(*device, *oracle, scenario, compute == DType::bf16);
    }
  }
  const auto uses = emulator::kernel_use();
  const auto kernels = shipped_kernels();
  Json counted = Json::object();
  for (const KernelText& text : kernels) {
    const auto use = uses.find(text.kernel);
    if (use == uses.end()) {
      log::warn("kernel ", text.module, "/", text.kernel, " is not launched");
    } else {
      counted[str(text.module, "/", text.kernel)] = told(use->second, block[text.kernel]);
    }
  }
  std::cout << counted.dump() << '\n';
  const size_t launched = counted.as_object().size();
  log::info(launched, " of ", kernels.size(), " kernels launched, no faults, results as the reference's");
  if (launched < kernels.size()) fail(Kind::internal, "a kernel is not launched");
}

}  // namespace

int main(int argc, char** argv) {
  cli::Tool tool("kernel-counters", "Launches every GPU kernel on the emulator and prints its counters.");
  tool.threads();
  return tool.run(argc, argv, [&] { run(tool.common().threads); });
}
