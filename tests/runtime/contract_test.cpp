// The contract of lib/runtime/backend.hpp on every device of this machine, against the f64 reference.

#include <string>
#include <vector>

#include "lab.hpp"
#include "scenarios.hpp"
#include "support/catch.hpp"

using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

struct Setting {
  int64_t gap = 0;
  bool halves = false, mixed = false;
};

Outputs run(Device& device, const Scenario& scenario, const Setting& setting) {
  Lab lab(device);
  lab.set_gap(setting.gap);
  lab.set_halves(setting.halves);
  lab.set_mixed(setting.mixed);
  Outputs outputs = scenario.run(lab);
  INFO(scenario.name << " on " << device.name());
  CHECK(lab.gaps_are_whole());
  return outputs;
}

void check_contract(const std::vector<Scenario>& scenarios) {
  const auto oracle = open_reference_device(DType::f64);
  std::vector<std::unique_ptr<Device>> devices;
  devices.push_back(open_reference_device(DType::f32));
  for (const auto& isa : available_isas()) devices.push_back(open_cpu_at(isa, 2));
  for (const Scenario& scenario : scenarios) {
    for (const int64_t gap : {0, 3}) {
      const Outputs expected = run(*oracle, scenario, {gap});
      for (const auto& device : devices) {
        INFO(scenario.name << (gap > 0 ? " in wider matrices" : "") << " on " << device->name());
        CHECK(difference(expected, run(*device, scenario, {gap})) <= scenario.tolerance);
      }
    }
  }
}

void check_half_contract(const std::vector<Scenario>& scenarios) {
  const auto oracle = open_reference_device(DType::f64);
  for (const auto& isa : available_isas()) {
    const auto device = open_cpu_at(isa, 2, DType::bf16);
    REQUIRE(device->compute() == DType::bf16);
    for (const Scenario& scenario : scenarios) {
      const Outputs expected = run(*oracle, scenario, {0, true, false});
      const double tolerance = half_tolerance_of(scenario.name);
      for (const bool mixed : {false, true}) {
        INFO(scenario.name << (mixed ? " of mixed types" : "") << " in bf16 on " << device->name());
        CHECK(difference(expected, run(*device, scenario, {mixed ? 3 : 0, true, mixed})) <= tolerance);
      }
    }
  }
}

}  // namespace

TEST_CASE("elementary methods keep the contract on every device", "[runtime]") {
  check_contract(elementary_scenarios());
}
TEST_CASE("products keep the contract on every device", "[runtime]") { check_contract(product_scenarios()); }
TEST_CASE("products with activations keep the contract on every device", "[runtime]") {
  check_contract(fused_scenarios());
}
TEST_CASE("weights in int8 keep the contract on every device", "[runtime]") {
  check_contract(int8_scenarios());
}
TEST_CASE("norms and activations keep the contract on every device", "[runtime]") {
  check_contract(norm_scenarios());
}
TEST_CASE("attention keeps the contract on every device", "[runtime]") {
  check_contract(attention_scenarios());
}
TEST_CASE("experts keep the contract on every device", "[runtime]") { check_contract(expert_scenarios()); }
TEST_CASE("the head keeps the contract on every device", "[runtime]") { check_contract(head_scenarios()); }

TEST_CASE("elementary methods keep the contract in bf16", "[runtime]") {
  check_half_contract(elementary_scenarios());
}
TEST_CASE("products keep the contract in bf16", "[runtime]") { check_half_contract(product_scenarios()); }
TEST_CASE("products with activations keep the contract in bf16", "[runtime]") {
  check_half_contract(fused_scenarios());
}
TEST_CASE("weights in int8 keep the contract in bf16", "[runtime]") { check_half_contract(int8_scenarios()); }
TEST_CASE("norms and activations keep the contract in bf16", "[runtime]") {
  check_half_contract(norm_scenarios());
}
TEST_CASE("attention keeps the contract in bf16", "[runtime]") { check_half_contract(attention_scenarios()); }
TEST_CASE("experts keep the contract in bf16", "[runtime]") { check_half_contract(expert_scenarios()); }
TEST_CASE("the head keeps the contract in bf16", "[runtime]") { check_half_contract(head_scenarios()); }
