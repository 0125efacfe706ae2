#pragma once

// Every method of the backend on a grid of shapes: what the tests of the contract, of threads and of the
// guard all run.

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

std::vector<Scenario> elementary_scenarios();
std::vector<Scenario> product_scenarios();
std::vector<Scenario> norm_scenarios();
std::vector<Scenario> attention_scenarios();
std::vector<Scenario> head_scenarios();
std::vector<Scenario> all_scenarios();

/// The table of tolerances, by method.
double tolerance_of(const std::string& method);

/// Largest difference relative to max(1, largest reference value); infinite if shapes differ or a value is
/// not finite.
double difference(const Outputs& reference, const Outputs& values);

}  // namespace gristmill::runtime::test
