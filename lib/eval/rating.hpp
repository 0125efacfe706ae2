#pragma once

// Ratings of models from verdicts: Bradley–Terry on the Elo scale, R = 1000 + (400 / ln 10) θ, or the
// sequential Elo update R_a += K (S − 1 / (1 + 10^((R_b − R_a) / 400))), with percentile intervals of a
// bootstrap over battles.

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "eval/verdict.hpp"

namespace gristmill::eval {

enum class RatingMethod { bradley_terry, elo };

struct RatingOptions {
  RatingMethod method = RatingMethod::bradley_terry;
  int64_t bootstrap = 1000;  ///< replicates; 0 = no intervals
  double confidence = 0.95;
  double prior = 0;  ///< virtual ties against an average player for each model; > 0 makes every rating finite
  std::string anchor;  ///< model whose rating is fixed at anchor_rating; empty = the mean is
  double anchor_rating = 1000;
  double k_factor = 4;  ///< of Elo
  uint64_t seed = 1;
  int threads = 1;
};

struct Rating {
  std::string model;
  double rating = 0;
  double lower = 0, upper = 0;  ///< NaN without bootstrap
  uint64_t battles = 0;
  Json to_json() const;
};

struct Ratings {
  std::vector<Rating> rows;         ///< best first, ties by name
  uint64_t replicates = 0;          ///< bootstrap samples used
  uint64_t replicates_skipped = 0;  ///< left out because their comparison graph was not connected
};

/// Rates all models of the verdicts. Bradley–Terry without a prior on a graph that is not connected is
/// Error{input} naming the groups of models; so is an anchor that fought no battle.
Ratings rate(const std::vector<Verdict>& verdicts, const RatingOptions& options);

/// Percentile of a sorted list with linear interpolation, q in [0, 1].
double percentile(const std::vector<double>& sorted, double q);

}  // namespace gristmill::eval
