#pragma once

// --shard I/N: the part of the input files that one task of a job array takes. The unit is the file.

#include <cstdint>
#include <string>
#include <vector>

namespace gristmill {

/// Part `index` (from 0) of `count`.
struct ArrayPart {
  uint64_t index = 0, count = 1;
};

/// Reads "I/N", or "slurm" from the variables that Slurm sets in the tasks of a job array. Throws
/// Kind::usage.
ArrayPart parse_array_part(const std::string& text);

/// The inputs of one part, perhaps none. Neighbours stay together, so that the outputs of all parts behind
/// each other are the whole in its order.
std::vector<std::string> inputs_of_part(const ArrayPart& part, const std::vector<std::string>& inputs);

}  // namespace gristmill
