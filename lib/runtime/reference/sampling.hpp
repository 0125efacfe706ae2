#pragma once

// Draws tokens: temperature, top-k, top-p (the smallest prefix of the sorted tokens whose mass reaches p, at
// least one; Holtzman et al. 2020), min-p (p_i >= min_p · highest), then the inverse of the cumulative
// distribution over ids in rising order. Tokens of equal probability are ordered by id, so that filters never
// depend on a sort's whims.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "base/error.hpp"
#include "runtime/backend.hpp"
#include "runtime/matrix.hpp"

namespace gristmill::runtime::reference {

/// What is left after the filters: ids, most probable first, with unnormalised masses (the highest is 1).
struct Candidates {
  std::vector<int32_t> ids;
  std::vector<double> masses;  ///< exp((logit - highest) / temperature), by id
};

/// Sorts only as many ids as it needs: the nucleus is small as a rule. `before` orders by falling mass.
template <class Before>
void keep_top_p(Candidates& candidates, double top_p, Before before) {
  auto& ids = candidates.ids;
  const auto mass_of = [&](int32_t id) { return candidates.masses[static_cast<size_t>(id)]; };
  double total = 0, mass = 0;
  for (const int32_t id : ids) total += mass_of(id);
  size_t kept = 0;
  for (size_t sorted = 64; kept < ids.size(); sorted *= 8) {
    const size_t end = std::min(sorted, ids.size());
    std::partial_sort(ids.begin() + static_cast<std::ptrdiff_t>(kept),
                      ids.begin() + static_cast<std::ptrdiff_t>(end), ids.end(), before);
    while (kept < end && (kept == 0 || mass < top_p * total)) mass += mass_of(ids[kept++]);
    if (kept < end || mass >= top_p * total) break;
  }
  ids.resize(kept);
}

inline void filter(Candidates& candidates, const Sampling& args) {
  auto& ids = candidates.ids;
  const auto& masses = candidates.masses;
  const auto before = [&](int32_t a, int32_t b) {
    const double x = masses[static_cast<size_t>(a)], y = masses[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  };
  if (args.top_k > 0 && static_cast<size_t>(args.top_k) < ids.size()) {
    std::nth_element(ids.begin(), ids.begin() + args.top_k, ids.end(), before);
    ids.resize(static_cast<size_t>(args.top_k));
    std::sort(ids.begin(), ids.end());  // sums below have one order
  }
  if (args.top_p < 1) keep_top_p(candidates, args.top_p, before);
  const double least = std::min(args.min_p, 1.0);
  std::erase_if(ids, [&](int32_t id) { return masses[static_cast<size_t>(id)] < least; });
  if (!std::is_sorted(ids.begin(), ids.end())) std::sort(ids.begin(), ids.end());
}

/// The first id whose cumulative mass passes uniform · total.
inline int32_t draw(const Candidates& candidates, double uniform) {
  double total = 0, mass = 0;
  for (const int32_t id : candidates.ids) total += candidates.masses[static_cast<size_t>(id)];
  if (!(total > 0))
    fail(Kind::input, "sample: the logits are not finite; the model has diverged or its weights are damaged");
  for (const int32_t id : candidates.ids) {
    mass += candidates.masses[static_cast<size_t>(id)];
    if (mass > uniform * total) return id;
  }
  const auto has_mass = [&](int32_t id) { return candidates.masses[static_cast<size_t>(id)] > 0; };
  return *std::find_if(candidates.ids.rbegin(), candidates.ids.rend(), has_mass);  // the uniform rounded to 1
}

/// One row: returns the id and sets its log-probability before the filters.
template <class Real>
int32_t sample_row(const Real* logits, int64_t size, double uniform, const Sampling& args, double& log_prob) {
  const Real* best = std::max_element(logits, logits + size);
  const double highest = static_cast<double>(*best),
               temperature = args.temperature > 0 ? args.temperature : 1;
  Candidates candidates;
  candidates.masses.resize(static_cast<size_t>(size));
  double total = 0;
  for (int64_t i = 0; i < size; ++i) {
    total += candidates.masses[static_cast<size_t>(i)] =
        std::exp((static_cast<double>(logits[i]) - highest) / temperature);
  }
  int32_t id = static_cast<int32_t>(best - logits);
  if (args.temperature > 0) {
    candidates.ids.resize(static_cast<size_t>(size));
    std::iota(candidates.ids.begin(), candidates.ids.end(), 0);
    filter(candidates, args);
    id = draw(candidates, uniform);
  }
  log_prob = (static_cast<double>(logits[id]) - highest) / temperature - std::log(total);
  return id;
}

template <class Real>
void sample(Matrix<int32_t> ids, Matrix<Real> log_prob, Matrix<const Real> logits,
            Matrix<const Real> uniforms, const Sampling& args) {
  for (int64_t r = 0; r < logits.rows; ++r) {
    double value = 0;
    ids.at(r, 0) =
        sample_row(logits.row(r), logits.cols, static_cast<double>(uniforms.at(r, 0)), args, value);
    log_prob.at(r, 0) = static_cast<Real>(value);
  }
}

}  // namespace gristmill::runtime::reference
