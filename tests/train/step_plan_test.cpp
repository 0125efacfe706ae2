#include "train/step_plan.hpp"

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "train/schedule.hpp"

using namespace gristmill;

TEST_CASE("without ramp and annealing every step takes the next batch", "[train]") {
  train::StepPlanOptions options;
  options.budget = 21;
  options.batch = 4;
  const train::StepPlan plan(options);
  CHECK(plan.steps() == 6);
  CHECK(plan.windows(5) == 4);
  CHECK(plan.place(2, 3).position == 11);
  CHECK_FALSE(plan.place(100, 0).anneal);
  options.round_up = false;
  CHECK(train::StepPlan(options).steps() == 5);
  options.budget = 3;
  CHECK(train::StepPlan(options).steps() == 1);
}

TEST_CASE("a batch ramp grows in whole micro-batches and uses each window once", "[train]") {
  train::StepPlanOptions options;
  options.budget = 100;
  options.batch = 16;
  options.micro_batch = 2;
  options.ramp_start = 0.25;
  options.ramp_share = 0.4;
  const train::StepPlan plan(options);
  // Progress p = windows seen / 40, batch 16·(0.25 + 0.75·p) rounded down to even: 4 at 0, 5.2 → 4 at 4, 6.4
  // → 6 at 8, 8.2 → 8 at 14, 10.6 → 10 at 22, 13.6 → 12 at 32; then 56 windows in 4 batches of 16.
  std::vector<int64_t> sizes;
  int64_t seen = 0;
  for (int64_t step = 0; step < plan.steps(); ++step) {
    CHECK(plan.place(step, 0).position == seen);
    sizes.push_back(plan.windows(step));
    seen += sizes.back();
  }
  CHECK(sizes == std::vector<int64_t>{4, 4, 6, 8, 10, 12, 16, 16, 16, 16});
  options.micro_batch = 32;  // larger than the batch: the ramp has no room
  CHECK(train::StepPlan(options).windows(0) == 16);
}

TEST_CASE("annealing mixes a second source in by its weight and leaves the first in order", "[train]") {
  train::StepPlanOptions options;
  options.budget = 100;
  options.batch = 10;
  options.anneal_share = 0.4;
  options.anneal_weight = 0.3;
  const train::StepPlan plan(options);
  CHECK(train::anneal_begin(0.4, plan.steps()) == 6);
  int64_t main = 0, anneal = 0;
  for (int64_t step = 0; step < plan.steps(); ++step) {
    for (int64_t i = 0; i < 10; ++i) {
      const auto place = plan.place(step, i);
      REQUIRE(place.position == (place.anneal ? anneal : main));
      ++(place.anneal ? anneal : main);
    }
    if (step < 6) CHECK(anneal == 0);
    if (step >= 6) CHECK(anneal == 3 * (step - 5));
  }
  options.anneal_weight = 1;
  CHECK(train::StepPlan(options).place(6, 0).anneal);
  options.anneal_weight = 0;
  CHECK_FALSE(train::StepPlan(options).place(9, 9).anneal);
}

TEST_CASE("annealing brings the learning rate from where it stands to 0 in a line", "[train]") {
  train::ScheduleOptions options;
  options.kind = train::Schedule::constant;
  options.warmup_share = 0;
  options.anneal_share = 0.2;
  CHECK(train::schedule_factor(options, 79, 100) == 1);
  CHECK(train::schedule_factor(options, 80, 100) == Approx(20.0 / 21));
  CHECK(train::schedule_factor(options, 99, 100) == Approx(1.0 / 21));
  options.kind = train::Schedule::linear;
  options.final_share = 0;
  const double there = 1 - 80.0 / 99;
  CHECK(train::schedule_factor(options, 99, 100) == Approx(there / 21));
  options.anneal_share = 1e-9;
  CHECK(train::anneal_begin(options.anneal_share, 100) == 99);
  CHECK(train::anneal_begin(1, 100) == 0);
  CHECK(train::anneal_begin(0, 100) == 100);
}
