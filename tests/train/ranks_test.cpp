#include "train/ranks.hpp"

#include <cmath>
#include <cstring>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "runtime/backend.hpp"
#include "support/catch.hpp"
#include "support/thread_ranks.hpp"
#include "support/tiny_model.hpp"

using namespace gristmill;
using namespace gristmill::train;
using gristmill::test::run_ranks;

namespace {

bool nothing_whole(const model::ParameterInfo&) { return false; }

std::vector<float> gradient_of(int64_t micro_batch, size_t count) {
  Rng rng(3, static_cast<uint64_t>(micro_batch));
  std::vector<float> values(count);
  for (auto& value : values) value = static_cast<float>(rng.normal() * std::exp2(rng.uniform() * 20 - 10));
  return values;
}

/// The device's `gradients += micro-batch`.
void add_micro_batch(const model::ParameterSet& gradients, int64_t micro_batch) {
  auto& device = gradients.device();
  const auto values = gradient_of(micro_batch, static_cast<size_t>(gradients.all().cols));
  const runtime::Buffer part(device, device.real(), 1, gradients.all().cols);
  runtime::write_real(device, part.view(), std::span<const float>(values));
  device.backend().axpy(gradients.all(), 1, part.view());
}

struct Outcome {
  std::vector<float> gradients;  ///< own parts of all ranks behind each other
  std::vector<double> values;
  double norm = 0;
};

/// A step of `micro_batches` dealt out to `count` ranks.
Outcome step_on(int count, int64_t micro_batches, const std::vector<model::ParameterInfo>& table) {
  std::vector<std::vector<float>> parts(static_cast<size_t>(count));
  Outcome outcome;
  run_ranks(count, [&](runtime::Collective& collective) {
    const auto device = runtime::open_device("cpu", 1);
    model::ParameterSet gradients(*device, table);
    Ranks ranks(collective, *device, partition(table, gradients.all().cols, count, nothing_whole));
    std::vector<double> values;
    for (int64_t first = 0; first < micro_batches; first += count) {
      const int64_t mine = first + ranks.rank();
      if (mine < micro_batches) add_micro_batch(gradients, mine);
      const double value = 1.0 / static_cast<double>(mine + 3);
      const auto all = ranks.end_round(gradients, micro_batches - first, std::span(&value, 1));
      values.insert(values.end(), all.begin(), all.end());
    }
    ranks.end_step(gradients);
    const double norm = ranks.norm(gradients);
    const auto own = ranks.own();
    if (own.size > 0)
      parts[static_cast<size_t>(ranks.rank())] =
          runtime::read_float(*device, gradients.all().col_range(own.first, own.size));
    if (ranks.is_first()) {
      outcome.norm = norm;
      outcome.values = values;
    }
  });
  for (const auto& part : parts) outcome.gradients.insert(outcome.gradients.end(), part.begin(), part.end());
  return outcome;
}

}  // namespace

TEST_CASE("the ranges of the ranks are the whole arena, even where asked and tensors whole where told",
          "[train]") {
  const auto table = model::parameter_table(test::tiny_config(300));
  const int64_t total = (table.back().offset + table.back().size() + 15) / 16 * 16;
  const auto is_whole = [](const model::ParameterInfo& info) { return info.decay; };
  for (const int ranks : {1, 2, 3, 4, 7, 64}) {
    CAPTURE(ranks);
    const auto even = partition(table, total, ranks, nothing_whole);
    const auto whole = partition(table, total, ranks, is_whole);
    for (const auto& owned : {even, whole}) {
      REQUIRE(static_cast<int>(owned.size()) == ranks);
      int64_t next = 0;
      for (const auto& range : owned) {
        CHECK(range.first == next);
        CHECK(range.size >= 0);
        next = range.end();
      }
      CHECK(next == total);
    }
    for (const auto& range : even) CHECK(std::abs(range.size - total / ranks) <= 64);
    for (const auto& info : table) {
      if (!is_whole(info)) continue;
      for (const auto& range : whole)
        CHECK_FALSE((range.first > info.offset && range.first < info.offset + info.size()));
    }
  }
}

TEST_CASE("a step on several ranks has the gradients, the norm and the sums of one", "[train]") {
  const auto table = model::parameter_table(test::tiny_config(300));
  const auto alone = step_on(1, 6, table);
  REQUIRE(alone.values.size() == 6);
  for (const int count : {2, 3, 4, 7}) {
    CAPTURE(count);
    const auto together = step_on(count, 6, table);
    CHECK(together.gradients == alone.gradients);
    CHECK(together.values == alone.values);
    CHECK(together.norm == alone.norm);
  }
  CHECK(step_on(4, 1, table).gradients == step_on(1, 1, table).gradients);
}

TEST_CASE("parameters that one rank changed reach all, and a flag of one is everyone's", "[train]") {
  const auto table = model::parameter_table(test::tiny_config(300));
  std::vector<std::vector<float>> found(3);
  std::vector<int> flags(3);
  run_ranks(3, [&](runtime::Collective& collective) {
    const auto device = runtime::open_device("cpu", 1);
    model::ParameterSet parameters(*device, table);
    Ranks ranks(collective, *device, partition(table, parameters.all().cols, 3, nothing_whole));
    const auto own = ranks.own();
    device->backend().fill(parameters.all().col_range(own.first, own.size), 1.0 + ranks.rank());
    ranks.share(parameters);
    const auto me = static_cast<size_t>(ranks.rank());
    found[me] = runtime::read_float(*device, parameters.all());
    flags[me] = (ranks.any(ranks.rank() == 2) ? 1 : 0) + (ranks.any(false) ? 10 : 0);
    ranks.meet();
  });
  CHECK(found[0] == found[1]);
  CHECK(found[0] == found[2]);
  CHECK(found[0].front() == 1);
  CHECK(found[0].back() == 3);
  CHECK(flags == std::vector<int>{1, 1, 1});
}

TEST_CASE("what a rank throws ends the others, and stopping is no error", "[train]") {
  CHECK_THROWS_WITH(run_ranks(2,
                              [&](runtime::Collective& collective) {
                                run_together(collective, [&] {
                                  if (collective.rank() == 0) fail(Kind::input, "a damaged shard");
                                  runtime::gather_values(collective, {});
                                });
                              }),
                    "a damaged shard");
  CHECK_THROWS_AS(run_ranks(2,
                            [&](runtime::Collective& collective) {
                              run_together(collective, [] { throw Stopped("after step 3"); });
                            }),
                  Stopped);
  CHECK_THROWS_WITH(run_together(*runtime::open_local_collective(), [] { fail(Kind::io, "as it is"); }),
                    "as it is");
}
