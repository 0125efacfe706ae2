#include "eval/rating.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "base/error.hpp"
#include "base/parallel.hpp"
#include "base/rng.hpp"
#include "eval/bradley_terry.hpp"

namespace gristmill::eval {

namespace {

constexpr size_t kMaxModels = 4096;
constexpr double kStart = 1000, kEloScale = 400;

struct Battle {
  uint32_t a, b;
  double preference;
};

struct Battles {
  std::vector<std::string> models;  ///< ascending by name
  std::vector<Battle> list;
};

Battles number_models(const std::vector<Verdict>& verdicts) {
  std::map<std::string, uint32_t> ids;
  for (const auto& verdict : verdicts) {
    ids.emplace(verdict.model_a, 0);
    ids.emplace(verdict.model_b, 0);
    if (ids.size() > kMaxModels) fail(Kind::input, "more than ", kMaxModels, " models in one rating");
  }
  Battles battles;
  for (auto& [name, id] : ids) {
    id = static_cast<uint32_t>(battles.models.size());
    battles.models.push_back(name);
  }
  for (const auto& verdict : verdicts) {
    battles.list.push_back({ids.at(verdict.model_a), ids.at(verdict.model_b), verdict.preference});
  }
  return battles;
}

WinMatrix count(const Battles& battles, const std::vector<Battle>& list) {
  WinMatrix wins(battles.models.size());
  for (const auto& battle : list) wins.add(battle.a, battle.b, battle.preference);
  return wins;
}

std::vector<double> sequential_elo(const Battles& battles, const std::vector<Battle>& list, double k_factor) {
  std::vector<double> ratings(battles.models.size(), kStart);
  for (const auto& battle : list) {
    const double expected = 1 / (1 + std::pow(10, (ratings[battle.b] - ratings[battle.a]) / kEloScale));
    const double change = k_factor * (battle.preference - expected);
    ratings[battle.a] += change;
    ratings[battle.b] -= change;
  }
  return ratings;
}

[[noreturn]] void fail_disconnected(const Battles& battles,
                                    const std::vector<std::vector<size_t>>& components) {
  std::vector<std::string> groups;
  for (const auto& component : components) {
    std::vector<std::string> names;
    for (const size_t i : component) names.push_back(battles.models[i]);
    groups.push_back(str("{", join(names, ", "), "}"));
  }
  fail(Kind::input,
       "no finite ratings: between these groups of models no win or tie goes both ways: ", join(groups, " "),
       "; add battles, rate them apart, or use --prior 1");
}

/// Shifts so that the anchor (or, without one, the mean, where ratings begin) is where it should be.
void place(std::vector<double>& ratings, const RatingOptions& options, size_t anchor) {
  const double shift = options.anchor_rating - (anchor < ratings.size() ? ratings[anchor] : kStart);
  for (double& rating : ratings) rating += shift;
}

/// Ratings of one list of battles; empty when the likelihood has no maximum.
std::vector<double> rate_once(const Battles& battles, const std::vector<Battle>& list,
                              const RatingOptions& options, size_t anchor) {
  std::vector<double> ratings;
  if (options.method == RatingMethod::elo) {
    ratings = sequential_elo(battles, list, options.k_factor);
  } else {
    const auto wins = count(battles, list);
    if (options.prior <= 0 && comparison_components(wins).size() > 1) return {};
    ratings = fit_bradley_terry(wins, options.prior);
    for (double& rating : ratings) rating = kStart + kEloScale / std::log(10.0) * rating;
  }
  place(ratings, options, anchor);
  return ratings;
}

std::vector<std::vector<double>> bootstrap(const Battles& battles, const RatingOptions& options,
                                           size_t anchor) {
  std::vector<std::vector<double>> replicates(static_cast<size_t>(options.bootstrap));
  ThreadPool pool(options.threads);
  pool.run(replicates.size(), [&](size_t replicate) {
    Rng rng(options.seed, stream_of(RandomStream::bootstrap, replicate));
    std::vector<Battle> sample;
    sample.reserve(battles.list.size());
    for (size_t i = 0; i < battles.list.size(); ++i)
      sample.push_back(battles.list[rng.below(battles.list.size())]);
    replicates[replicate] = rate_once(battles, sample, options, anchor);
  });
  return replicates;
}

void check(const RatingOptions& options) {
  if (options.bootstrap < 0 || options.bootstrap > 1000000)
    fail(Kind::usage, "--bootstrap is between 0 and 1000000");
  if (!(options.confidence > 0 && options.confidence < 1))
    fail(Kind::usage, "--confidence lies between 0 and 1");
  if (!(options.prior >= 0) || !std::isfinite(options.prior)) fail(Kind::usage, "--prior is 0 or more");
}

/// Adds the percentiles of the connected replicates to the rows, which are in the order of the models.
void add_intervals(const std::vector<std::vector<double>>& replicates, double confidence, Ratings& result) {
  const double tail = (1 - confidence) / 2;
  for (size_t model = 0; model < result.rows.size(); ++model) {
    std::vector<double> values;
    for (const auto& replicate : replicates) {
      if (!replicate.empty()) values.push_back(replicate[model]);
    }
    std::sort(values.begin(), values.end());
    result.replicates = values.size();
    result.rows[model].lower = percentile(values, tail);
    result.rows[model].upper = percentile(values, 1 - tail);
  }
  result.replicates_skipped = replicates.size() - result.replicates;
}

}  // namespace

Json Rating::to_json() const {
  Json json = Json::object();
  json["model"] = model;
  json["rating"] = rating;
  json["lower"] = lower;
  json["upper"] = upper;
  json["battles"] = battles;
  return json;
}

double percentile(const std::vector<double>& sorted, double q) {
  if (sorted.empty()) return std::numeric_limits<double>::quiet_NaN();
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(at);
  const size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (at - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

Ratings rate(const std::vector<Verdict>& verdicts, const RatingOptions& options) {
  check(options);
  const Battles battles = number_models(verdicts);
  size_t anchor = battles.models.size();
  if (!options.anchor.empty()) {
    const auto found = std::find(battles.models.begin(), battles.models.end(), options.anchor);
    if (found == battles.models.end())
      fail(Kind::input, "the anchor ", in_quotes(options.anchor), " has no battles");
    anchor = static_cast<size_t>(found - battles.models.begin());
  }
  if (options.method == RatingMethod::bradley_terry && options.prior <= 0) {
    const auto components = comparison_components(count(battles, battles.list));
    if (components.size() > 1) fail_disconnected(battles, components);
  }
  const auto ratings = rate_once(battles, battles.list, options, anchor);
  Ratings result;
  for (size_t i = 0; i < ratings.size(); ++i) result.rows.push_back({battles.models[i], ratings[i], 0, 0, 0});
  for (const auto& battle : battles.list) {
    ++result.rows[battle.a].battles;
    ++result.rows[battle.b].battles;
  }
  add_intervals(bootstrap(battles, options, anchor), options.confidence, result);
  std::stable_sort(result.rows.begin(), result.rows.end(),
                   [](const Rating& x, const Rating& y) { return x.rating > y.rating; });
  return result;
}

}  // namespace gristmill::eval
