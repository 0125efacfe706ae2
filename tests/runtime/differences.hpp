#pragma once

// Gradients by central differences, and what compares them with those of a backward pass.

#include <functional>
#include <vector>

#include "lab.hpp"

namespace gristmill::runtime::test {

/// d loss / d input for every element, by differences of a loss that reruns the forward.
std::vector<double> differences(Lab& lab, View input, const std::function<double()>& loss);

/// Checks that each element is that of differences(), up to what these are worth in f64.
void check_close(const std::vector<double>& analytic, const std::vector<double>& numeric);

double dot(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace gristmill::runtime::test
