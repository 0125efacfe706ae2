#include "train/ranks.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "runtime/backend.hpp"
#include "support/catch.hpp"
#include "support/thread_ranks.hpp"
#include "support/tiny_model.hpp"
#include "train/muon.hpp"

using namespace gristmill;
using namespace gristmill::train;
using gristmill::test::run_ranks;

namespace {

using Table = std::vector<model::ParameterInfo>;
using IsWhole = std::function<bool(const model::ParameterInfo&)>;

bool nothing_whole(const model::ParameterInfo&) { return false; }
bool matrices_whole(const model::ParameterInfo& info) { return info.decay; }

/// Buckets of 4, 13, 13, 13 and 5 blocks or so.
Table some_table() {
  auto config = test::tiny_config(300);
  config.dim = 64;
  config.head_dim = 16;
  config.hidden_dim = 192;
  config.layers = 3;
  return model::parameter_table(config);
}

/// Puts off all work until wait(): whoever reads a sum, or writes what is exchanged, before he waited finds
/// it out. With `any_order` it says that it has another order, and counts its sums.
class LazyExchange final : public runtime::ArenaExchange {
 public:
  LazyExchange(std::unique_ptr<runtime::ArenaExchange> inner, bool any_order)
      : inner_(std::move(inner)), any_order_(any_order) {}
  bool keeps_order() const override { return !any_order_; }
  void add_in_order(runtime::View sum, runtime::ConstView values, std::span<const runtime::Range> ranges,
                    int64_t contributors) override {
    put_off([=, this, ranges = copy(ranges)] { inner_->add_in_order(sum, values, ranges, contributors); });
  }
  void add(runtime::View sum, runtime::ConstView values, std::span<const runtime::Range> ranges) override {
    ++sums_;
    put_off([=, this, ranges = copy(ranges)] { inner_->add(sum, values, ranges); });
  }
  void share(runtime::View values, std::span<const runtime::Range> ranges) override {
    put_off([=, this, ranges = copy(ranges)] { inner_->share(values, ranges); });
  }
  void wait() override {
    for (const auto& work : std::exchange(work_, {})) work();
    inner_->wait();
  }
  int64_t sums() const { return sums_; }

 private:
  static std::vector<runtime::Range> copy(std::span<const runtime::Range> ranges) {
    return {ranges.begin(), ranges.end()};
  }
  void put_off(std::function<void()> work) { work_.push_back(std::move(work)); }

  std::unique_ptr<runtime::ArenaExchange> inner_;
  bool any_order_;
  int64_t sums_ = 0;
  std::vector<std::function<void()>> work_;
};

std::vector<float> gradient_of(int64_t micro_batch, int64_t count) {
  Rng rng(3, static_cast<uint64_t>(micro_batch));
  std::vector<float> values(static_cast<size_t>(count));
  for (auto& value : values) value = static_cast<float>(rng.normal() * std::exp2(rng.uniform() * 20 - 10));
  return values;
}

/// The device's `gradients += micro-batch`, bucket by bucket as a backward pass is done with them.
void add_micro_batch(const model::ParameterSet& gradients, int64_t micro_batch, Ranks& ranks) {
  auto& device = gradients.device();
  const auto values = gradient_of(micro_batch, model::arena_size(gradients.table()));
  const auto buckets = model::buckets_of(gradients.table());
  for (size_t b = buckets.size(); b-- > 0;) {
    const runtime::Buffer part(device, device.real(), 1, buckets[b].size);
    runtime::write_real(device, part.view(),
                        std::span(values).subspan(static_cast<size_t>(buckets[b].first),
                                                  static_cast<size_t>(buckets[b].size)));
    device.backend().axpy(gradients.region(buckets[b].first, buckets[b].size), 1, part.view());
    ranks.finished(static_cast<int64_t>(b));
  }
}

struct Outcome {
  std::vector<float> gradients;  ///< of the whole arena, each element as its owner has it
  std::vector<double> values;
  double norm = 0;
  int64_t sums = 0;  ///< any-order exchanges of a rank
};

struct Setup {
  int ranks = 1;
  RanksOptions options;
  IsWhole is_whole = nothing_whole;
  bool any_order = false;
};

/// Two steps, of which the second counts.
Outcome run_steps(const Setup& setup, int64_t micro_batches, const Table& table) {
  Outcome outcome;
  outcome.gradients.resize(static_cast<size_t>(model::arena_size(table)));
  std::mutex mutex;
  run_ranks(setup.ranks, [&](runtime::Collective& collective) {
    const auto device = runtime::open_device("cpu", 1);
    auto exchange =
        std::make_unique<LazyExchange>(runtime::open_arena_exchange(collective, *device), setup.any_order);
    const LazyExchange& lazy = *exchange;
    Ranks ranks(collective, *device, partition(table, setup.ranks, setup.is_whole), setup.options,
                std::move(exchange));
    model::ParameterSet gradients(*device, table, ranks.gradient_residence());
    std::vector<double> values;
    for (const int64_t first : {int64_t{100}, int64_t{0}}) {
      device->backend().fill(gradients.all(), 0);
      values = in_rounds(&ranks, micro_batches, &gradients, [&](int64_t number) {
        add_micro_batch(gradients, first + number, ranks);
        return std::vector<double>{1.0 / static_cast<double>(number + 3)};
      });
    }
    const auto part = part_of(
        table, setup.ranks > 1 ? ranks.own() : std::vector<runtime::Range>{{0, gradients.all().cols}});
    const double norm = setup.ranks > 1 ? ranks.norm() : 0;
    const std::scoped_lock lock(mutex);
    for (size_t i = 0; i < part.table.size(); ++i) {
      const int64_t first = part.first[i], size = part.table[i].size();
      const auto own = runtime::read_float(
          *device, setup.ranks > 1 ? ranks.summed(first, size) : gradients.region(first, size));
      std::copy(own.begin(), own.end(), outcome.gradients.begin() + first);
    }
    if (!ranks.is_first()) return;
    outcome.norm = norm;
    outcome.values = values;
    outcome.sums = lazy.sums();
    if (setup.ranks > 1) return;
    const runtime::Buffer sum(*device, runtime::DType::f64, 1, 1);
    device->backend().sum_of_squares(sum.view(), gradients.all());
    outcome.norm = std::sqrt(runtime::read_real(*device, sum.view()).front());
  });
  return outcome;
}

/// What stands in tensors: padding is no tensor's.
std::vector<float> in_tensors(const std::vector<float>& arena, const Table& table) {
  std::vector<float> values(arena.size());
  for (const auto& info : table)
    std::copy_n(arena.begin() + info.offset, info.size(), values.begin() + info.offset);
  return values;
}

}  // namespace

TEST_CASE("the ranks' ranges of a bucket are the whole of it, even where asked and tensors whole where told",
          "[train]") {
  const auto table = some_table();
  const auto buckets = model::buckets_of(table);
  for (const int ranks : {1, 2, 3, 4, 7, 64}) {
    CAPTURE(ranks);
    for (const bool whole : {false, true}) {
      const auto ownership = partition(table, ranks, whole ? IsWhole(matrices_whole) : nothing_whole);
      REQUIRE(ownership.size() == buckets.size());
      for (size_t b = 0; b < buckets.size(); ++b) {
        CAPTURE(b);
        REQUIRE(static_cast<int>(ownership[b].owned.size()) == ranks);
        int64_t next = buckets[b].first;
        for (int position = 0; position < ranks; ++position) {
          const auto range = ownership[b].owned[static_cast<size_t>(ownership[b].rank_at(position))];
          CHECK(range.first == next);
          CHECK(range.size >= 0);
          if (!whole) CHECK(std::abs(range.size - buckets[b].size / ranks) <= kBlock);
          next = range.end();
        }
        CHECK(next == buckets[b].end());
        for (const auto& info : table) {
          if (!whole || !matrices_whole(info)) continue;
          for (const auto& range : ownership[b].owned)
            CHECK_FALSE((range.first > info.offset && range.first < info.offset + info.size()));
        }
      }
    }
  }
}

TEST_CASE("where tensors stay whole, the largest of the layers do not all meet the same rank", "[train]") {
  auto config = test::tiny_config(300);
  config.layers = 16;
  const auto table = model::parameter_table(config);
  const auto is_hidden = [](const model::ParameterInfo& info) { return is_hidden_matrix(info); };
  const auto ownership = partition(table, 8, is_hidden);
  std::vector<int64_t> sizes(8);
  for (int rank = 0; rank < 8; ++rank) {
    for (const auto& range : owned_by(ownership, rank)) sizes[static_cast<size_t>(rank)] += range.size;
  }
  CHECK(*std::max_element(sizes.begin(), sizes.end()) < 2 * *std::min_element(sizes.begin(), sizes.end()));
}

TEST_CASE("a step on several ranks has the gradients, the norm and the sums of one, at both stages of ZeRO",
          "[train]") {
  const auto table = some_table();
  for (const int64_t micro_batches : {6, 1}) {
    const auto alone = run_steps({}, micro_batches, table);
    REQUIRE(alone.values.size() == 1);
    for (const int zero : {1, 2}) {
      for (const int count : {2, 3, 4, 7}) {
        CAPTURE(micro_batches, zero, count);
        for (const bool whole : {false, true}) {
          const auto together = run_steps({count, {zero}, whole ? IsWhole(matrices_whole) : nothing_whole},
                                          micro_batches, table);
          CHECK((in_tensors(together.gradients, table) == in_tensors(alone.gradients, table)));
          CHECK(together.values == alone.values);
          CHECK(together.norm == alone.norm);
        }
      }
    }
  }
}

TEST_CASE("an exchange with an order of its own adds once a step at stage 1 and once a round at stage 2",
          "[train]") {
  const auto table = some_table();
  const auto buckets = static_cast<int64_t>(model::buckets_of(table).size());
  const auto alone = run_steps({}, 7, table);
  for (const int zero : {1, 2}) {
    CAPTURE(zero);
    Setup setup{3, {zero}};
    setup.any_order = true;
    const auto together = run_steps(setup, 7, table);  // rounds of 3, 3 and 1
    CHECK(together.sums == 2 * buckets * (zero == 1 ? 1 : 3));
    CHECK(together.norm == Approx(alone.norm).epsilon(1e-6));
    double worst = 0;
    for (size_t i = 0; i < alone.gradients.size(); ++i) {
      const double expected = static_cast<double>(alone.gradients[i]);
      worst = std::max(worst, std::abs(static_cast<double>(together.gradients[i]) - expected));
    }
    CHECK(worst < 1e-2);  // of values up to thousands
    setup.options.deterministic_reduce = true;
    const auto in_order = run_steps(setup, 7, table);
    CHECK(in_order.sums == 0);
    CHECK((in_tensors(in_order.gradients, table) == in_tensors(alone.gradients, table)));
    CHECK(in_order.norm == alone.norm);
  }
}

TEST_CASE("parameters that one rank changed reach all, and a flag of one is everyone's", "[train]") {
  const auto table = some_table();
  std::vector<std::vector<float>> found(3);
  std::vector<int> flags(3);
  const auto ownership = partition(table, 3, matrices_whole);
  run_ranks(3, [&](runtime::Collective& collective) {
    const auto device = runtime::open_device("cpu", 1);
    model::ParameterSet parameters(*device, table);
    Ranks ranks(collective, *device, ownership, {},
                std::make_unique<LazyExchange>(runtime::open_arena_exchange(collective, *device), false));
    for (const auto& own : ranks.own()) {
      if (own.size > 0)
        device->backend().fill(parameters.all().col_range(own.first, own.size), 1.0 + ranks.rank());
    }
    ranks.share(parameters);
    const auto me = static_cast<size_t>(ranks.rank());
    found[me] = runtime::read_float(*device, parameters.all());
    flags[me] = (ranks.any(ranks.rank() == 2) ? 1 : 0) + (ranks.any(false) ? 10 : 0);
    ranks.meet();
  });
  CHECK((found[0] == found[1]));
  CHECK((found[0] == found[2]));
  for (const auto& bucket : ownership) {
    for (size_t rank = 0; rank < 3; ++rank) {
      const auto own = bucket.owned[rank];
      if (own.size > 0) CHECK(found[0][static_cast<size_t>(own.end() - 1)] == static_cast<float>(1 + rank));
    }
  }
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
