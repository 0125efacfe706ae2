#pragma once

// Scenarios in which every shipped kernel is launched, each with work of a kind that it is made for: rows of
// several tiles, aligned, without gaps. What the emulator counts in them stands in cuda/kernel-budget.json: a
// change of this list changes these numbers, that of any other test does not.

#include <vector>

#include "scenarios.hpp"

namespace gristmill::runtime::test {

/// To be run on a device of f32 and on one of bf16.
std::vector<Scenario> counted_scenarios();

}  // namespace gristmill::runtime::test
