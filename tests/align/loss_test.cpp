#include <algorithm>
#include <cmath>
#include <functional>

#include "align/examples.hpp"
#include "align/policy_gradient.hpp"
#include "align/preference_loss.hpp"
#include "align/response_batch.hpp"
#include "base/error.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::align;

namespace {

double slope(const std::function<double(double)>& f, double at) {
  return (f(at + 1e-6) - f(at - 1e-6)) / 2e-6;
}

}  // namespace

TEST_CASE("every DPO loss has the gradient of its value", "[align]") {
  const PairLogProbs pair{-24, -26.25, -25, -25.5, 12, 11};
  for (const auto& options :
       {DpoLossOptions{DpoLoss::sigmoid, 0.3, 0}, DpoLossOptions{DpoLoss::sigmoid, 0.3, 0.2},
        DpoLossOptions{DpoLoss::robust, 0.3, 0.2}, DpoLossOptions{DpoLoss::hinge, 0.3, 0},
        DpoLossOptions{DpoLoss::ipo, 0.3, 0}, DpoLossOptions{DpoLoss::ipo_average, 0.3, 0},
        DpoLossOptions{DpoLoss::sigmoid_norm, 0.3, 0}}) {
    const auto loss = dpo_loss(pair, options);
    const auto by_chosen = [&](double x) {
      auto p = pair;
      p.policy_chosen = x;
      return dpo_loss(p, options).loss;
    };
    const auto by_rejected = [&](double x) {
      auto p = pair;
      p.policy_rejected = x;
      return dpo_loss(p, options).loss;
    };
    CHECK(loss.d_chosen == Approx(slope(by_chosen, pair.policy_chosen)).margin(1e-7));
    CHECK(loss.d_rejected == Approx(slope(by_rejected, pair.policy_rejected)).margin(1e-7));
  }
}

TEST_CASE("DPO's losses have their papers' values at a pair worked by hand", "[align]") {
  const PairLogProbs pair{-24,   -26.25, -25,
                          -25.5, 12,     11};  // ratios 1 and -0.75, margin 1.75, β · margin 0.525
  const auto loss = [&](DpoLoss kind, double smoothing) {
    return dpo_loss(pair, {kind, 0.3, smoothing}).loss;
  };
  const double right = std::log1p(std::exp(-0.525)), wrong = std::log1p(std::exp(0.525));
  CHECK(loss(DpoLoss::sigmoid, 0) == Approx(right));
  CHECK(loss(DpoLoss::sigmoid, 0.2) == Approx(0.8 * right + 0.2 * wrong));
  CHECK(loss(DpoLoss::robust, 0.2) == Approx((0.8 * right - 0.2 * wrong) / 0.6));
  CHECK(loss(DpoLoss::hinge, 0) == Approx(0.475));
  CHECK(loss(DpoLoss::ipo, 0) == Approx(std::pow(1.75 - 1 / 0.6, 2)));
  const double by_length = 1.0 / 12 + 0.75 / 11;
  CHECK(loss(DpoLoss::ipo_average, 0) == Approx(std::pow(by_length - 1 / 0.6, 2)));
  CHECK(loss(DpoLoss::sigmoid_norm, 0) == Approx(std::log1p(std::exp(-0.3 * by_length))));
  CHECK(bradley_terry_loss(2, 0.5, 0.25, 0.01).loss == Approx(std::log1p(std::exp(-1.25)) + 0.0625));
}

TEST_CASE("DPO at the reference has the loss ln 2 whatever the data", "[align]") {
  const PairLogProbs pair{-24, -26.25, -24, -26.25, 12, 11};
  CHECK(dpo_loss(pair, {DpoLoss::sigmoid, 0.1, 0}).loss == Approx(std::log(2)));
  CHECK(dpo_loss(pair, {DpoLoss::sigmoid, 0.7, 0.3}).loss == Approx(std::log(2)));
  CHECK(dpo_loss(pair, {DpoLoss::hinge, 0.1, 0}).loss == Approx(1));
  CHECK(dpo_loss(pair, {DpoLoss::ipo, 0.1, 0}).loss == Approx(25));
}

TEST_CASE("losses stay finite at extreme margins", "[align]") {
  CHECK(log_sigmoid(-1000) == Approx(-1000));
  CHECK(log_sigmoid(1000) == Approx(0));
  CHECK(std::isfinite(bradley_terry_loss(-1e4, 1e4, 0, 0).loss));
}

TEST_CASE("options out of range are usage errors", "[align]") {
  CHECK_THROWS_AS(validate(DpoLossOptions{DpoLoss::sigmoid, 0, 0}), Error);
  CHECK_THROWS_AS(validate(DpoLossOptions{DpoLoss::sigmoid, 0.1, 0.5}), Error);
  CHECK_THROWS_AS(validate(DpoLossOptions{DpoLoss::robust, 0.1, 0}), Error);
  CHECK_THROWS_AS(validate(DpoLossOptions{DpoLoss::hinge, 0.1, 0.1}), Error);
  CHECK_NOTHROW(validate(DpoLossOptions{DpoLoss::robust, 0.1, 0.1}));
}

TEST_CASE("PPO's terms have the gradients of their values, clipped or not", "[align]") {
  for (const double advantage : {-1.5, 0.7}) {
    for (const double change : {-0.4, -0.1, 0.05, 0.3}) {
      const auto term = policy_term(-1 + change, -1, advantage, 0.2);
      const auto value = [&](double x) { return policy_term(x, -1, advantage, 0.2).loss; };
      CHECK(term.d_log_prob == Approx(slope(value, -1 + change)).margin(1e-6));
    }
  }
  for (const double v : {-0.5, 0.1, 0.45}) {
    const auto term = value_term(v, 0.2, 0.6, 0.2);
    CHECK(term.d_value ==
          Approx(slope([&](double x) { return value_term(x, 0.2, 0.6, 0.2).loss; }, v)).margin(1e-6));
  }
}

TEST_CASE("PPO's terms, rewards and advantages have the values worked by hand", "[align]") {
  const auto at_one = policy_term(-1, -1, 2, 0.2), better = policy_term(-1 + std::log(1.5), -1, 2, 0.2),
             worse = policy_term(-1 + std::log(1.5), -1, -2, 0.2);
  CHECK(at_one.loss == Approx(-2));
  CHECK(at_one.d_log_prob == Approx(-2));  // descent raises what was better than expected
  CHECK(better.loss == Approx(-2.4));
  CHECK(better.clipped);
  CHECK(worse.loss == Approx(3));
  CHECK_FALSE(worse.clipped);
  CHECK(value_term(0.5, 0.2, 0.6, 0.2).loss == Approx(0.5 * 0.04));
  CHECK(value_term(0.1, 0.2, 0.6, 0.2).loss == Approx(0.5 * 0.25));
  const std::vector<double> log_probs = {-1, -2}, reference = {-1.5, -1};
  const auto ended = token_rewards(log_probs, reference, 3, true, {0.1, 1});
  CHECK(ended[0] == Approx(-0.05));
  CHECK(ended[1] == Approx(3.1));
  CHECK(token_rewards(log_probs, reference, 3, false, {0.1, 1})[1] == Approx(2.1));
  const std::vector<double> rewards = {1, 2}, values = {0.5, 0.25};
  const auto got = generalised_advantages(rewards, values, 0.9, 0.5);
  CHECK(got.advantages[1] == Approx(1.75));
  CHECK(got.advantages[0] == Approx(0.725 + 0.45 * 1.75));
  CHECK(got.returns[0] == Approx(0.725 + 0.45 * 1.75 + 0.5));
}

TEST_CASE("unit lambda and gamma give Monte-Carlo returns", "[align]") {
  const std::vector<double> rewards = {0.5, -1, 2}, values = {0.1, 0.2, 0.3};
  const auto got = generalised_advantages(rewards, values, 1, 1);
  CHECK(got.returns[0] == Approx(1.5));
  CHECK(got.returns[1] == Approx(1));
  CHECK(got.returns[2] == Approx(2));
}

TEST_CASE("whitening gives mean 0 and unbiased variance 1, and survives one value", "[align]") {
  std::vector<double> values = {1, 2, 4, 8};
  whiten(values);
  double mean = 0, square = 0;
  for (const double v : values) mean += v / 4;
  for (const double v : values) square += v * v / 3;
  CHECK(mean == Approx(0).margin(1e-12));
  CHECK(square == Approx(1).epsilon(1e-6));
  std::vector<double> one = {5};
  whiten(one);
  CHECK(one[0] == 0);
}

TEST_CASE("targets of packed sequences are predicted from the row in front of them", "[align]") {
  ResponseBatch batch;
  batch.add({{10, 11, 12, 13}, {0, 0, 1, 1}});
  batch.add({{20, 21, 22}, {0, 1, 0}});
  CHECK(batch.rows == std::vector<int32_t>{1, 2, 4});
  CHECK(batch.targets == std::vector<int32_t>{12, 13, 21});
  CHECK(batch.starts == std::vector<size_t>{0, 2, 3});
  CHECK(batch.last_rows == std::vector<int32_t>{3, 5});
  CHECK_THROWS_AS(batch.add({{1, 2}, {0, 0}}), Error);
  CHECK_THROWS_AS(batch.add({{1, 2}, {1, 1}}), Error);
}

TEST_CASE("splitting by size fills parts in order and lets a large item stand alone", "[align]") {
  using Parts = std::vector<std::pair<size_t, size_t>>;
  const std::vector<int64_t> sizes = {3, 3, 5, 20, 1, 1};
  CHECK(split_by_size(sizes, 8) == Parts{{0, 2}, {2, 3}, {3, 4}, {4, 6}});
  CHECK(split_by_size({}, 8).empty());
}

TEST_CASE("every epoch visits every item once, in an order of its own", "[align]") {
  EpochSampler sampler(10, 4, 2, 7);
  CHECK(sampler.total_steps() == 6);
  std::vector<std::vector<size_t>> epochs(2);
  for (int64_t step = 0; step < 6; ++step) {
    for (const size_t item : sampler.items(step)) epochs[static_cast<size_t>(step / 3)].push_back(item);
  }
  CHECK(epochs[0] != epochs[1]);
  EpochSampler later(10, 4, 2, 7);
  CHECK(later.items(4) == sampler.items(4));  // a function of the step alone
  for (auto& epoch : epochs) {
    std::sort(epoch.begin(), epoch.end());
    CHECK(epoch == std::vector<size_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  }
}
