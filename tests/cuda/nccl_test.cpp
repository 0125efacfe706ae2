// Exchanges between GPUs, with threads as ranks, each with an emulated GPU of its own.

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "cuda/device.hpp"
#include "cuda/nccl/nccl.hpp"
#include "cuda/nccl/rank.hpp"
#include "emulator/driver/emulated_driver.hpp"
#include "emulator/nccl/emulated_nccl.hpp"
#include "runtime/arena_exchange.hpp"
#include "runtime/backend.hpp"
#include "runtime/cuda.hpp"
#include "support/catch.hpp"
#include "support/thread_ranks.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using gristmill::test::run_ranks;

namespace {

using Values = std::vector<float>;

constexpr int64_t kSmall = 4096;  // bytes on their way at once: several pieces for a few thousand elements

std::unique_ptr<Device> device_with(int64_t exchange_bytes) {
  cuda::DeviceOptions options;
  options.find_nccl = [] { return cuda::FoundNccl{&emulator::emulated_nccl(), ""}; };
  options.exchange_bytes = exchange_bytes;
  return cuda::open_gpu(emulator::emulated_driver(), emulator::add_gpu({}), "emu", options);
}

/// Values of very different sizes: any other order of addition gives other bits.
Values part_of(int64_t contribution, int64_t count) {
  Rng rng(7, static_cast<uint64_t>(contribution));
  Values values(static_cast<size_t>(count));
  for (auto& value : values) value = static_cast<float>(rng.normal() * std::exp2(rng.uniform() * 24 - 12));
  return values;
}

Values one_by_one(int64_t count, int64_t contributions) {
  Values sum(static_cast<size_t>(count), 0.0F);
  for (int64_t c = 0; c < contributions; ++c) {
    const Values part = part_of(c, count);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += part[i];
  }
  return sum;
}

Values part(const Values& all, Range range) { return {all.begin() + range.first, all.begin() + range.end()}; }

struct Case {
  int64_t elements = 0;
  std::vector<Range> ranges;
};

/// Ranges of one rank to four: equal ones, ragged ones with gaps, overlapping ones and empty ones.
std::vector<Case> cases() {
  return {{100, {{0, 100}}},
          {4096, {{0, 2048}, {2048, 2048}}},
          {5001, {{0, 64}, {64, 4937}}},
          {777, {{0, 0}, {0, 777}}},
          {3000, {{0, 1000}, {1000, 1000}, {2000, 1000}}},
          {3000, {{0, 2000}, {1500, 0}, {1500, 1499}}},
          {6400, {{0, 1600}, {1600, 1600}, {3200, 1600}, {4800, 1600}}},
          {1, {{0, 0}, {0, 1}, {1, 0}, {1, 0}}}};
}

using Sum = std::function<void(ArenaExchange&, View, ConstView, const std::vector<Range>&)>;

/// Each rank's sum over all ranks' parts.
std::vector<Values> sums_of(const Case& c, const Sum& sum) {
  std::vector<Values> sums(c.ranges.size());
  run_ranks(static_cast<int>(c.ranges.size()), [&](Collective& ranks) {
    const auto me = static_cast<size_t>(ranks.rank());
    const auto device = device_with(kSmall);
    const Buffer values(*device, DType::f32, 1, c.elements), total(*device, DType::f32, 1, c.ranges[me].size);
    const auto exchange = device->open_link(ranks);
    write_real(*device, values.view(), part_of(ranks.rank(), c.elements));
    sum(*exchange, total.view(), values.view(), c.ranges);
    exchange->wait();
    if (total.view().cols > 0) sums[me] = read_float(*device, total.view());
  });
  return sums;
}

}  // namespace

TEST_CASE("a sum over GPUs in the order of ranks has the bits of one that adds part after part", "[cuda]") {
  for (const Case& c : cases()) {
    const auto count = static_cast<int64_t>(c.ranges.size());
    for (const int64_t contributors : {count, int64_t{1}}) {
      CAPTURE(c.elements, count, contributors);
      const Values expected = one_by_one(c.elements, contributors);
      const auto sums =
          sums_of(c, [&](ArenaExchange& exchange, View sum, ConstView values, const auto& ranges) {
            exchange.add_in_order(sum, values, ranges, contributors);
          });
      for (size_t r = 0; r < sums.size(); ++r) CHECK((sums[r] == part(expected, c.ranges[r])));
    }
  }
}

TEST_CASE("a sum over GPUs in NCCL's order is right but for rounding, and has other bits", "[cuda]") {
  bool differs = false;
  for (const Case& c : cases()) {
    const auto count = static_cast<int64_t>(c.ranges.size());
    CAPTURE(c.elements, count);
    std::vector<Values> parts;
    for (int64_t p = 0; p < count; ++p) parts.push_back(part_of(p, c.elements));
    const Values expected = one_by_one(c.elements, count);
    const auto sums = sums_of(c, [](ArenaExchange& exchange, View sum, ConstView values, const auto& ranges) {
      exchange.add(sum, values, ranges);
    });
    for (size_t r = 0; r < sums.size(); ++r) {
      const Values wanted = part(expected, c.ranges[r]);
      REQUIRE(sums[r].size() == wanted.size());
      double worst = 0;
      for (size_t i = 0; i < wanted.size(); ++i) {
        double scale = 1e-6;
        for (const Values& all : parts) scale += std::fabs(all[static_cast<size_t>(c.ranges[r].first) + i]);
        worst = std::max(worst, std::fabs(double{sums[r][i]} - double{wanted[i]}) / scale);
      }
      CHECK(worst < 1e-6);
      differs = differs || sums[r] != wanted;
    }
  }
  CHECK(differs);
}

TEST_CASE("sums over GPUs add to what is there", "[cuda]") {
  const Case c = {300, {{0, 150}, {150, 150}}};
  const auto twice = [](bool ordered) {
    return [ordered](ArenaExchange& exchange, View sum, ConstView values, const std::vector<Range>& ranges) {
      for (int i = 0; i < 2; ++i) {
        if (ordered) exchange.add_in_order(sum, values, ranges, 2);
        if (!ordered) exchange.add(sum, values, ranges);
      }
    };
  };
  Values expected = one_by_one(c.elements, 2);
  const Values a = part_of(0, c.elements), b = part_of(1, c.elements);
  for (size_t i = 0; i < expected.size(); ++i) expected[i] = (expected[i] + a[i]) + b[i];
  CHECK((sums_of(c, twice(true))[1] == part(expected, c.ranges[1])));
  const Values any = sums_of(c, twice(false))[1];
  for (size_t i = 0; i < any.size(); ++i)
    CHECK(any[i] == Approx(expected[150 + i]).epsilon(1e-3).margin(1e-2));
}

TEST_CASE("each GPU's range comes to all", "[cuda]") {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const Case& c : cases()) {
      if (c.elements == 3000 && c.ranges[1].size == 0) continue;  // ranges that overlap are for sums alone
      const int count = static_cast<int>(c.ranges.size());
      CAPTURE(c.elements, count);
      std::vector<Values> found(c.ranges.size());
      run_ranks(count, [&](Collective& ranks) {
        const auto device = device_with(kSmall);
        const Buffer values(*device, dtype, 1, c.elements);
        const auto exchange = device->open_link(ranks);
        Values mine(static_cast<size_t>(c.elements), 99.0F);
        const Range own = c.ranges[static_cast<size_t>(ranks.rank())];
        for (int64_t i = own.first; i < own.end(); ++i)
          mine[static_cast<size_t>(i)] = static_cast<float>(i % 200);
        write_real(*device, values.view(), mine);
        exchange->share(values.view(), c.ranges);
        exchange->wait();
        found[static_cast<size_t>(ranks.rank())] = read_float(*device, values.view());
      });
      Values expected(static_cast<size_t>(c.elements));
      for (size_t i = 0; i < expected.size(); ++i) expected[i] = static_cast<float>(i % 200);
      for (const Values& values : found) CHECK((values == expected));
    }
  }
}

TEST_CASE("weights that come from other ranks are used as they are now, in all that was shared", "[cuda]") {
  constexpr int64_t kSide = 8, kSize = kSide * kSide;
  std::vector<std::vector<Values>> seen(2);
  run_ranks(2, [&](Collective& ranks) {
    const auto me = static_cast<size_t>(ranks.rank());
    const auto device = open_device("emu", 1, DType::bf16);
    const Buffer weights(*device, DType::f32, 1, 2 * kSize), in(*device, DType::bf16, 1, kSide),
        out(*device, DType::bf16, 1, kSide);
    const auto exchange = open_arena_exchange(ranks, *device);
    device->backend().fill(weights.view(), ranks.rank() == 1 ? 1 : 5);
    write_real(*device, in.view(), Values(kSide, 1.0F));
    const auto multiply = [&](int64_t which) {
      Matmul product;
      product.out = out.view();
      product.a = in.view();
      product.b = weights.view().col_range(which * kSize, kSize).reshaped(kSide, kSide);
      product.transpose_b = product.keep_b = true;
      device->backend().matmul(product);
      return read_float(*device, out.view());
    };
    for (const int64_t which : {0, 1}) multiply(which);
    for (const int64_t which : {0, 1}) {
      exchange->share(weights.view().col_range(which * kSize, kSize), std::vector<Range>{{0, 0}, {0, kSize}});
    }
    exchange->wait();
    for (const int64_t which : {0, 1}) seen[me].push_back(multiply(which));
  });
  for (const auto& rank : seen)
    for (const Values& values : rank) CHECK((values == Values(kSide, static_cast<float>(kSide))));
}

TEST_CASE("what is not waited for is not there yet, and what is overwritten too early is gone", "[cuda]") {
  const std::vector<Range> ranges = {{0, 50}, {50, 50}};
  std::vector<std::vector<Values>> seen(2);
  run_ranks(2, [&](Collective& ranks) {
    const auto me = static_cast<size_t>(ranks.rank());
    const auto device = device_with(kSmall);
    const Buffer values(*device, DType::f32, 1, 100), sum(*device, DType::f32, 1, 50),
        other(*device, DType::f32, 1, 1);
    const auto exchange = device->open_link(ranks);
    device->backend().fill(values.view(), 1);
    exchange->add_in_order(sum.view(), values.view(), ranges, 2);
    device->backend().fill(other.view(), 3);  // beside the exchange
    seen[me].push_back(read_float(*device, sum.view()));
    exchange->wait();
    seen[me].push_back(read_float(*device, sum.view()));
    exchange->add(sum.view(), values.view(), ranges);
    device->backend().fill(values.view(), 100);
    device->synchronize();
    exchange->wait();
    seen[me].push_back(read_float(*device, sum.view()));
  });
  for (const auto& rank : seen) {
    CHECK((rank[0] == Values(50, 0.0F)));
    CHECK((rank[1] == Values(50, 2.0F)));
    CHECK((rank[2] != Values(50, 4.0F)));
  }
}

TEST_CASE("an exchange takes what was enqueued before it, also where nobody has waited", "[cuda]") {
  std::vector<float> seen(2);
  run_ranks(2, [&](Collective& ranks) {
    const auto device = open_device("emu", 1);
    const Buffer values(*device, DType::f32, 1, 2), sum(*device, DType::f32, 1, 1);
    const auto exchange = open_arena_exchange(ranks, *device);
    for (int i = 1; i <= 3; ++i) {
      device->backend().fill(values.view(), i);
      exchange->add(sum.view(), values.view(), std::vector<Range>{{0, 1}, {1, 1}});
      exchange->wait();
    }
    seen[static_cast<size_t>(ranks.rank())] = read_float(*device, sum.view()).front();
  });
  CHECK(seen == std::vector<float>{12, 12});
}

TEST_CASE("a GPU goes on for the others while its own host talks to them", "[cuda]") {
  std::vector<float> seen(2);
  run_ranks(2, [&](Collective& ranks) {
    const auto device = open_device("emu", 1);
    const Buffer values(*device, DType::f32, 1, 2), sum(*device, DType::f32, 1, 1);
    const auto exchange = open_arena_exchange(ranks, *device);
    device->backend().fill(values.view(), 2);
    exchange->add(sum.view(), values.view(), std::vector<Range>{{0, 1}, {1, 1}});
    exchange->wait();
    // Rank 1 does not wait for its GPU before it waits for rank 0, which waits for both GPUs.
    if (ranks.rank() == 0) seen[0] = read_float(*device, sum.view()).front();
    gather_values(ranks, {});
    if (ranks.rank() == 1) seen[1] = read_float(*device, sum.view()).front();
  });
  CHECK(seen == std::vector<float>{4, 4});
}

TEST_CASE("GPUs exchange by NCCL, others by way of the host, and mixed ones too", "[cuda]") {
  for (const bool mixed : {false, true}) {
    std::vector<float> seen(2);
    std::vector<char> keeps(2);
    run_ranks(2, [&](Collective& ranks) {
      const auto me = static_cast<size_t>(ranks.rank());
      const auto device = open_device(mixed && me == 1 ? "cpu" : "emu", 1);
      const Buffer values(*device, DType::f32, 1, 2), sum(*device, DType::f32, 1, 1);
      const auto exchange = open_arena_exchange(ranks, *device);
      device->backend().fill(values.view(), 1.5);
      exchange->add_in_order(sum.view(), values.view(), std::vector<Range>{{0, 1}, {1, 1}}, 2);
      exchange->wait();
      keeps[me] = exchange->keeps_order() ? 1 : 0;
      seen[me] = read_float(*device, sum.view()).front();
    });
    CHECK(seen == std::vector<float>{3, 3});
    CHECK(keeps == std::vector<char>(2, mixed ? 1 : 0));
  }
}

TEST_CASE("ranks that meet by a file talk through their GPUs", "[cuda]") {
  const auto file = std::filesystem::temp_directory_path() / str("gristmill-nccl-", ::getpid());
  constexpr size_t kMany = 5'000'000;  // doubles: more than one piece
  std::vector<std::vector<double>> values(3);
  std::vector<std::vector<std::string>> texts(3);
  std::vector<double> ends(3);
  run_ranks(3, [&](Collective& threads) {
    const auto me = static_cast<size_t>(threads.rank());
    const auto ranks = open_gpu_collective(std::nullopt, {file.string(), "", threads.rank(), 3, 30});
    values[me] = gather_values(*ranks, std::vector<double>(me, 0.5 + static_cast<double>(me)));
    texts[me] = gather_texts(*ranks, me == 1 ? "" : str("rank ", me));
    std::vector<double> many(me == 0 ? kMany : 0);
    for (size_t i = 0; i < many.size(); ++i) many[i] = static_cast<double>(i);
    ends[me] = gather_values(*ranks, many).back();
    ranks->leave();
  });
  for (size_t r = 0; r < 3; ++r) {
    CHECK(values[r] == std::vector<double>{1.5, 2.5, 2.5});
    CHECK(texts[r] == std::vector<std::string>{"rank 0", "", "rank 2"});
    CHECK(ends[r] == static_cast<double>(kMany - 1));
  }
  CHECK_FALSE(std::filesystem::exists(file));
}
