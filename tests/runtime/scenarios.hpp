#pragma once

// Every method of the backend on a grid of shapes: what the tests of the contract, of threads and of the
// guard all run.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lab.hpp"

namespace gristmill::runtime::test {

struct Scenario {
  std::string name;  ///< begins with the method's name
  double tolerance;  ///< of f32 against f64, relative to max(1, largest value)
  std::function<Outputs(Lab&)> run;
};

/// `factor` multiplies the rows, so that even small methods are worth several threads.
std::vector<Scenario> elementary_scenarios(int64_t factor = 1);
std::vector<Scenario> product_scenarios(int64_t factor = 1);
std::vector<Scenario> fused_scenarios(int64_t factor = 1);
std::vector<Scenario> int8_scenarios(int64_t factor = 1);
std::vector<Scenario> norm_scenarios(int64_t factor = 1);
std::vector<Scenario> attention_scenarios(int64_t factor = 1);
std::vector<Scenario> expert_scenarios(int64_t factor = 1);
std::vector<Scenario> head_scenarios(int64_t factor = 1);
std::vector<Scenario> all_scenarios(int64_t factor = 1);

/// The table of tolerances, by method.
double tolerance_of(const std::string& method);

/// The tolerance of a bf16 device for a scenario, by its name.
double half_tolerance_of(const std::string& name);

/// Largest difference relative to max(1, largest reference value); infinite if shapes differ or a value is
/// not finite.
double difference(const Outputs& reference, const Outputs& values);

}  // namespace gristmill::runtime::test
