#include "runtime/collective.hpp"

#include <cmath>
#include <cstdlib>
#include <span>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "runtime/arena_exchange.hpp"
#include "runtime/backend.hpp"
#include "support/catch.hpp"
#include "support/thread_ranks.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using gristmill::test::run_ranks;

namespace {

/// Values of very different sizes: any other order of addition gives other bits.
std::vector<float> part_of(int64_t contribution, size_t count) {
  Rng rng(7, static_cast<uint64_t>(contribution));
  std::vector<float> values(count);
  for (auto& value : values) value = static_cast<float>(rng.normal() * std::exp2(rng.uniform() * 24 - 12));
  return values;
}

std::vector<Range> cut(int64_t total, int ranks) {
  std::vector<Range> ranges;
  for (int64_t r = 0; r < ranks; ++r)
    ranges.push_back({total * r / ranks, total * (r + 1) / ranks - total * r / ranks});
  return ranges;
}

/// One process that adds six contributions one after another.
std::vector<float> one_by_one(size_t count, int64_t contributions) {
  std::vector<float> sum(count, 0.0F);
  for (int64_t c = 0; c < contributions; ++c) {
    const auto part = part_of(c, count);
    for (size_t i = 0; i < count; ++i) sum[i] += part[i];
  }
  return sum;
}

/// The same by ranks, contribution c by rank c mod n, and shared out at the end.
std::vector<std::vector<float>> by_ranks(int count, size_t elements, int64_t contributions) {
  std::vector<std::vector<float>> results(static_cast<size_t>(count));
  run_ranks(count, [&](Collective& ranks) {
    const auto device = open_device("cpu", 1);
    const auto ranges = cut(static_cast<int64_t>(elements), count);
    const Range mine = ranges[static_cast<size_t>(ranks.rank())];
    const Buffer values(*device, DType::f32, 1, static_cast<int64_t>(elements));
    const Buffer sum(*device, DType::f32, 1, mine.size);
    for (int64_t first = 0; first < contributions; first += count) {
      if (first + ranks.rank() < contributions)
        write_real(*device, values.view(), std::span<const float>(part_of(first + ranks.rank(), elements)));
      open_arena_exchange(ranks, *device)
          ->add_in_order(sum.view(), values.view(), ranges, contributions - first);
    }
    device->backend().copy(values.view().col_range(mine.first, mine.size), sum.view());
    open_arena_exchange(ranks, *device)->share(values.view(), ranges);
    results[static_cast<size_t>(ranks.rank())] = read_float(*device, values.view());
  });
  return results;
}

struct Variable {
  explicit Variable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~Variable() { ::unsetenv(name_); }
  const char* name_;
};

}  // namespace

TEST_CASE("a sum over ranks has the bits of one rank that adds part after part", "[runtime]") {
  const int64_t contributions = 6;  // not a multiple of 4: the last round is not full
  for (const size_t elements : {size_t{1}, size_t{37}, size_t{5000}}) {
    const auto expected = one_by_one(elements, contributions);
    for (const int count : {1, 2, 3, 4}) {
      CAPTURE(elements, count);
      for (const auto& result : by_ranks(count, elements, contributions)) CHECK(result == expected);
    }
  }
}

TEST_CASE("another order of the parts gives other bits, so that the test above means something",
          "[runtime]") {
  const size_t elements = 5000;
  std::vector<float> pairwise(elements);
  const auto a = part_of(0, elements), b = part_of(1, elements), c = part_of(2, elements),
             d = part_of(3, elements);
  for (size_t i = 0; i < elements; ++i) pairwise[i] = (a[i] + b[i]) + (c[i] + d[i]);
  CHECK(pairwise != one_by_one(elements, 4));
}

TEST_CASE("what is longer than one message travels in pieces", "[runtime]") {
  const int64_t elements = 5'000'001;  // between two ranks a piece is 2 Mi floats
  const auto value = [](int rank, int64_t i) {
    return static_cast<float>(rank + 1) + static_cast<float>(i % 977);
  };
  std::vector<int64_t> wrong(2, -1);
  run_ranks(2, [&](Collective& ranks) {
    const auto device = open_device("cpu", 1);
    const auto ranges = cut(elements, 2);
    const auto me = static_cast<size_t>(ranks.rank());
    const Buffer values(*device, DType::f32, 1, elements), sum(*device, DType::f32, 1, ranges[me].size);
    std::vector<float> mine(static_cast<size_t>(elements));
    for (int64_t i = 0; i < elements; ++i) mine[static_cast<size_t>(i)] = value(ranks.rank(), i);
    write_real(*device, values.view(), std::span<const float>(mine));
    open_arena_exchange(ranks, *device)->add_in_order(sum.view(), values.view(), ranges, 2);
    device->backend().copy(values.view().col_range(ranges[me].first, ranges[me].size), sum.view());
    open_arena_exchange(ranks, *device)->share(values.view(), ranges);
    const auto found = read_float(*device, values.view());
    wrong[me] = 0;
    for (int64_t i = 0; i < elements; ++i)
      wrong[me] += found[static_cast<size_t>(i)] != value(0, i) + value(1, i) ? 1 : 0;
  });
  CHECK(wrong == std::vector<int64_t>{0, 0});
}

TEST_CASE("ranges may overlap in a sum, and a rank may own nothing", "[runtime]") {
  const size_t elements = 100;
  const auto expected = one_by_one(elements, 3);
  const std::vector<Range> ranges = {{0, 70}, {40, 0}, {40, 60}};
  std::vector<std::vector<float>> sums(3);
  run_ranks(3, [&](Collective& ranks) {
    const auto device = open_device("cpu", 1);
    const auto me = static_cast<size_t>(ranks.rank());
    const Buffer values(*device, DType::f32, 1, static_cast<int64_t>(elements));
    const Buffer sum(*device, DType::f32, 1, ranges[me].size);
    write_real(*device, values.view(), std::span<const float>(part_of(ranks.rank(), elements)));
    open_arena_exchange(ranks, *device)->add_in_order(sum.view(), values.view(), ranges, 3);
    if (ranges[me].size > 0) sums[me] = read_float(*device, sum.view());
  });
  CHECK(sums[0] == std::vector<float>(expected.begin(), expected.begin() + 70));
  CHECK(sums[1].empty());
  CHECK(sums[2] == std::vector<float>(expected.begin() + 40, expected.end()));
}

TEST_CASE("sums of doubles stay doubles, behind memory that the host cannot read", "[runtime]") {
  std::vector<double> results(2);
  run_ranks(2, [&](Collective& ranks) {
    const auto device = guard_device(open_reference_device(DType::f64));
    const std::vector<Range> ranges = {{0, 1}, {1, 1}};
    const Buffer values(*device, DType::f64, 1, 2), sum(*device, DType::f64, 1, 1);
    write_real(*device, values.view(), std::span<const double>(std::vector<double>{1.0 / 3, 1e-17}));
    open_arena_exchange(ranks, *device)->add_in_order(sum.view(), values.view(), ranges, 2);
    results[static_cast<size_t>(ranks.rank())] = read_real(*device, sum.view()).front();
  });
  CHECK(results == std::vector<double>{1.0 / 3 + 1.0 / 3, 2e-17});
}

TEST_CASE("values and texts of all ranks arrive in the order of ranks", "[runtime]") {
  std::vector<std::vector<double>> values(3);
  std::vector<std::vector<std::string>> texts(3);
  run_ranks(3, [&](Collective& ranks) {
    const int r = ranks.rank();
    const std::vector<double> mine(static_cast<size_t>(r), 0.5 + r);
    values[static_cast<size_t>(r)] = gather_values(ranks, mine);
    texts[static_cast<size_t>(r)] = gather_texts(ranks, r == 1 ? "" : str("rank ", r));
  });
  for (size_t r = 0; r < 3; ++r) {
    CHECK(values[r] == std::vector<double>{1.5, 2.5, 2.5});
    CHECK(texts[r] == std::vector<std::string>{"rank 0", "", "rank 2"});
  }
}

TEST_CASE("rank 0 collects a tensor from the ranks that hold its parts", "[runtime]") {
  const std::vector<int64_t> sizes = {2, 0, 5};
  std::vector<std::vector<float>> found(3);
  run_ranks(3, [&](Collective& ranks) {
    const auto device = open_device("cpu", 1);
    const auto me = static_cast<size_t>(ranks.rank());
    const Buffer mine(*device, DType::f32, 1, 8);
    device->backend().fill(mine.view(), 1.0 + ranks.rank());
    found[me] =
        collect<float>(ranks, *device, sizes[me] == 0 ? View() : mine.view().col_range(0, sizes[me]), sizes);
  });
  CHECK(found[0] == std::vector<float>{1, 1, 3, 3, 3, 3, 3});
  CHECK(found[1].empty());
  CHECK(found[2].empty());
}

TEST_CASE("a rank that fails does not leave the others waiting", "[runtime]") {
  CHECK_THROWS_WITH(run_ranks(3,
                              [&](Collective& ranks) {
                                if (ranks.rank() == 0) fail(Kind::input, "no data here");
                                gather_values(ranks, {});
                              }),
                    "no data here");
}

TEST_CASE("only a launcher's environment makes ranks", "[runtime]") {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "WORLD_SIZE", "RANK", "PMI_SIZE", "SLURM_STEP_NUM_TASKS",
                           "PMIX_RANK", "PMI_RANK"})
    ::unsetenv(name);
  CHECK_FALSE(launched_ranks().has_value());
  CHECK(open_collective()->name() == "local");
  {
    const Variable one("OMPI_COMM_WORLD_SIZE", "1");
    CHECK(launched_ranks() == int64_t{1});
    CHECK(open_collective()->name() == "local");
  }
  {
    const Variable four("PMI_SIZE", "4");
    CHECK(launched_ranks() == int64_t{4});
  }
  const Variable rank("PMIX_RANK", "0");
  CHECK(launched_ranks() == int64_t{0});
}
