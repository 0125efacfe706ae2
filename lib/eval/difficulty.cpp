#include "eval/difficulty.hpp"

#include <cmath>
#include <utility>

#include "base/error.hpp"
#include "base/stats.hpp"
#include "eval/csv.hpp"
#include "eval/verdict.hpp"
#include "shard/reader.hpp"

namespace gristmill::eval {

std::map<std::string, double> read_difficulty(const std::string& path) {
  std::map<std::string, double> difficulty;
  for (const auto& row : read_csv(path)) {
    const auto id = row.count("inst") != 0 ? row.find("inst") : row.find("id");
    const auto value = row.count("instruction_difficulty") != 0 ? row.find("instruction_difficulty")
                                                                : row.find("difficulty");
    if (id == row.end() || value == row.end()) {
      fail(Kind::input, path, ": needs the columns inst (or id) and instruction_difficulty (or difficulty)");
    }
    const auto number = parse_double(value->second);
    if (!number || !std::isfinite(*number))
      fail(Kind::input, path, ": ", in_quotes(value->second), " is no difficulty");
    difficulty[id->second] = *number;
  }
  if (difficulty.empty()) fail(Kind::input, path, ": no difficulties");
  return difficulty;
}

std::vector<std::vector<LengthRow>> read_variants(const std::string& path) {
  shard::Reader reader({path});
  Stats stats;
  std::map<std::string, std::vector<LengthRow>> variants;
  for (const auto& verdict : read_verdicts(reader, stats)) {
    if (verdict.length_a < 0 || verdict.length_b < 0)
      fail(Kind::input, path, ": a verdict without length_a and length_b");
    variants[verdict.model_b].push_back(
        {verdict.id, 1 - verdict.preference, verdict.length_b, verdict.length_a});
  }
  std::vector<std::vector<LengthRow>> lists;
  for (auto& [name, rows] : variants) lists.push_back(std::move(rows));
  return lists;
}

}  // namespace gristmill::eval
