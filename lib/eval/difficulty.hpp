#pragma once

// Side inputs of the length control: difficulties of prompts, and judged variants of the baseline.

#include <map>
#include <string>
#include <vector>

#include "eval/length_control.hpp"

namespace gristmill::eval {

/// A CSV with the columns inst (or id) and instruction_difficulty (or difficulty). Error{input} for a missing
/// column or what is no number.
std::map<std::string, double> read_difficulty(const std::string& path);

/// Verdicts of variants (model_b) against the baseline (model_a), one list a variant, by name.
std::vector<std::vector<LengthRow>> read_variants(const std::string& path);

}  // namespace gristmill::eval
