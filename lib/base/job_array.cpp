#include "base/job_array.hpp"

#include <cstddef>
#include <cstdlib>
#include <optional>

#include "base/error.hpp"
#include "base/str.hpp"

namespace gristmill {

namespace {

uint64_t slurm_variable(const char* name) {
  const char* text = std::getenv(name);
  const auto value = text == nullptr ? std::nullopt : parse_uint(text);
  if (!value)
    fail(Kind::usage, "--shard slurm: ", name, " is not set; run this in a job array (sbatch --array)");
  return *value;
}

}  // namespace

ArrayPart parse_array_part(const std::string& text) {
  ArrayPart part;
  if (text == "slurm") {
    part.index = slurm_variable("SLURM_ARRAY_TASK_ID") - slurm_variable("SLURM_ARRAY_TASK_MIN");
    part.count = slurm_variable("SLURM_ARRAY_TASK_COUNT");
  } else {
    const auto numbers = split(text, '/');
    const auto index = parse_uint(numbers[0]);
    const auto count = numbers.size() == 2 ? parse_uint(numbers[1]) : std::nullopt;
    if (!index || !count) fail(Kind::usage, "--shard ", in_quotes(text), " is neither I/N nor slurm");
    part = {*index, *count};
  }
  if (part.index >= part.count) {
    fail(Kind::usage, "--shard ", part.index, "/", part.count,
         ": parts are counted from 0 and must be below N");
  }
  return part;
}

std::vector<std::string> inputs_of_part(const ArrayPart& part, const std::vector<std::string>& inputs) {
  const auto start_of = [&](uint64_t index) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::ptrdiff_t>(static_cast<Wide>(inputs.size()) * index / part.count);
  };
  return {inputs.begin() + start_of(part.index), inputs.begin() + start_of(part.index + 1)};
}

}  // namespace gristmill
