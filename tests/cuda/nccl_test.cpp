// Exchanges between GPUs, with threads as ranks, each with an emulated GPU of its own.

#include <unistd.h>

#include <algorithm>
#include <chrono>
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

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(error.kind() == Kind::device);
    return error.what();
  }
  FAIL("no error");
  return {};
}

bool contains(const std::string& text, const std::string& wanted) {
  return text.find(wanted) != std::string::npos;
}

/// A rank as misuse needs it: functions and memory, and nothing that uses them in the right way.
struct Bare {
  Bare(Collective& ranks, const cuda::NcclId& id)
      : nccl(emulator::emulated_nccl()), gpu(emulator::emulated_driver(), emulator::add_gpu({}), false) {
    gpu.begin_work("a test");
    nccl.init_rank(&communicator, ranks.size(), id, ranks.rank());
    memory = static_cast<float*>(gpu.allocate(64 * sizeof(float)));
  }
  ~Bare() {
    try {
      nccl.destroy(communicator);
    } catch (const Error&) {
      // destroyed before
    }
    try {
      gpu.release(memory);
    } catch (const Error&) {
      // of a GPU that is lost
    }
  }
  void zero() { gpu.set_bytes(memory, 0, 64 * sizeof(float)); }

  const cuda::Nccl& nccl;
  cuda::Gpu gpu;
  cuda::Communicator communicator = nullptr;
  float* memory = nullptr;
};

/// What each of two ranks says of what it did.
std::vector<std::string> said_by_two(const std::function<void(Bare&, int)>& body) {
  const cuda::NcclId id = cuda::new_id(emulator::emulated_nccl());
  std::vector<std::string> said(2);
  run_ranks(2, [&](Collective& ranks) {
    Bare bare(ranks, id);
    try {
      body(bare, ranks.rank());
      bare.gpu.synchronize();
    } catch (const Error& error) {
      said[static_cast<size_t>(ranks.rank())] = error.what();
    }
  });
  return said;
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

TEST_CASE("emulated ranks that call different things say so, both of them", "[cuda]") {
  const auto counts = said_by_two([](Bare& bare, int rank) {
    bare.zero();
    bare.nccl.broadcast(bare.memory, bare.memory, rank == 0 ? 4 : 5, cuda::kNcclFloat32, 0, bare.communicator,
                        bare.gpu.stream());
  });
  const auto kinds = said_by_two([](Bare& bare, int rank) {
    bare.zero();
    if (rank == 0)
      bare.nccl.send(bare.memory, 4, cuda::kNcclFloat32, 1, bare.communicator, bare.gpu.stream());
    if (rank == 1)
      bare.nccl.reduce(bare.memory, nullptr, 4, cuda::kNcclFloat32, cuda::kNcclSum, 0, bare.communicator,
                       bare.gpu.stream());
  });
  const auto types = said_by_two([](Bare& bare, int rank) {
    bare.zero();
    if (rank == 0)
      bare.nccl.send(bare.memory, 4, cuda::kNcclFloat32, 1, bare.communicator, bare.gpu.stream());
    if (rank == 1)
      bare.nccl.receive(bare.memory, 4, cuda::kNcclBytes, 0, bare.communicator, bare.gpu.stream());
  });
  for (const auto& said : {counts, kinds, types}) {
    CHECK(contains(said[0], "the ranks disagree: rank 0 calls"));
    CHECK(contains(said[1], "the ranks disagree: rank 1 calls"));
  }
  CHECK(
      contains(counts[1], "rank 1 calls broadcast of 5 of type 7 with root 0, rank 0 calls broadcast of 4"));
  CHECK(contains(kinds[0], "calls send of 4 of type 7, rank 1 calls reduce"));
}

TEST_CASE("emulated NCCL sees memory that is not there and bytes that nobody wrote", "[cuda]") {
  const auto undefined = said_by_two([](Bare& bare, int) {
    bare.gpu.set_bytes(bare.memory, 0, 12);
    bare.nccl.all_gather(bare.memory, bare.memory, 4, cuda::kNcclFloat32, bare.communicator,
                         bare.gpu.stream());
  });
  const auto outside = said_by_two([](Bare& bare, int rank) {
    bare.zero();
    if (rank == 0)
      bare.nccl.send(bare.memory, 4, cuda::kNcclFloat32, 1, bare.communicator, bare.gpu.stream());
    if (rank == 1)
      bare.nccl.receive(bare.memory + 62, 4, cuda::kNcclFloat32, 0, bare.communicator, bare.gpu.stream());
  });
  CHECK(contains(undefined[0], "never written"));
  CHECK(contains(outside[1], "receive of 4 of type 7 writes 16 bytes outside of memory"));
  CHECK(contains(outside[0], "rank 1 is gone"));
}

TEST_CASE("emulated NCCL refuses calls outside of a communicator's life, and what it does not have",
          "[cuda]") {
  const auto said = said_by_two([](Bare& bare, int rank) {
    bare.zero();
    const auto send = [&](int peer) {
      bare.nccl.send(bare.memory, 4, cuda::kNcclFloat32, peer, bare.communicator, bare.gpu.stream());
    };
    const auto refused = [](const std::function<void()>& call, const char* why) {
      try {
        call();
      } catch (const Error& error) {
        if (std::string(error.what()).find(why) != std::string::npos) return;
        throw;
      }
      fail(Kind::internal, "not refused: ", why);
    };
    refused([&] { send(rank); }, "with itself");
    refused([&] { send(2); }, "there is no rank 2 of 2");
    refused(
        [&] {
          bare.nccl.reduce(bare.memory, bare.memory, 4, cuda::kNcclBytes, 0, 0, bare.communicator,
                           bare.gpu.stream());
        },
        "only sums of float32");
    refused([&] { bare.nccl.group_end(); }, "not begun");
    refused(
        [&] {
          cuda::Gpu other(emulator::emulated_driver(), emulator::add_gpu({}));
          send(1 - rank);
        },
        "another GPU");
    bare.gpu.begin_work("a test");
    bare.nccl.destroy(bare.communicator);
    refused([&] { send(1 - rank); }, "not there");
    refused([&] { bare.nccl.destroy(bare.communicator); }, "not there");
  });
  CHECK(said == std::vector<std::string>{"", ""});
}

TEST_CASE("a rank that ends is seen by those that wait for it", "[cuda]") {
  const auto begin = std::chrono::steady_clock::now();
  const auto said = said_by_two([](Bare& bare, int rank) {
    bare.zero();
    if (rank == 1) return;
    bare.nccl.receive(bare.memory, 4, cuda::kNcclFloat32, 1, bare.communicator, bare.gpu.stream());
  });
  CHECK(contains(said[0], "rank 1 is gone"));
  CHECK(said[1].empty());
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
}

TEST_CASE("ranks that do not come, or count otherwise, are named", "[cuda]") {
  const cuda::Nccl& nccl = emulator::emulated_nccl();
  cuda::Gpu gpu(emulator::emulated_driver(), emulator::add_gpu({}));
  gpu.begin_work("a test");
  cuda::Communicator communicator = nullptr;
  emulator::set_joining_limit(std::chrono::milliseconds(300));
  for (const int rank : {0, 1}) {
    const std::string said = message_of([&] { nccl.init_rank(&communicator, 2, cuda::new_id(nccl), rank); });
    CHECK(contains(said, str("rank ", rank, " waited in vain for rank ", 1 - rank)));
  }
  emulator::set_joining_limit(std::chrono::seconds(20));
  const cuda::NcclId id = cuda::new_id(nccl);
  std::vector<std::string> said(2);
  run_ranks(2, [&](Collective& ranks) {
    cuda::Gpu own(emulator::emulated_driver(), emulator::add_gpu({}));
    own.begin_work("a test");
    cuda::Communicator mine = nullptr;
    try {
      nccl.init_rank(&mine, 2 + ranks.rank(), id, ranks.rank());
    } catch (const Error& error) {
      said[static_cast<size_t>(ranks.rank())] = error.what();
    }
  });
  CHECK(contains(said[0], "rank 0 counts 2 ranks, rank 1 counts 3"));
  CHECK(contains(said[1], "rank 1 counts 3 ranks, rank 0 counts 2"));
  gpu.begin_work("a test");
  CHECK(contains(message_of([&] { nccl.init_rank(&communicator, 2, cuda::NcclId{}, 0); }), "no id of mine"));
  CHECK(contains(message_of([&] { nccl.init_rank(&communicator, 2, id, 2); }), "no rank 2 of 2"));
}

TEST_CASE("where NCCL is not installed that is said with what to do, and its table is complete where it is",
          "[cuda]") {
  const auto none = cuda::find_nccl("libgristmill-no-such-library.so");
  CHECK(none.functions == nullptr);
  CHECK(contains(none.absence, "install"));
  const auto other = cuda::find_nccl("libm.so.6");
  CHECK(other.functions == nullptr);
  CHECK(contains(other.absence, "has no ncclGetVersion"));
  const cuda::NcclId id = cuda::new_id(emulator::emulated_nccl());
  CHECK(cuda::to_text(cuda::id_of(cuda::to_text(id))) == cuda::to_text(id));
  CHECK(contains(message_of([] { cuda::id_of("abc"); }), "no id"));
}
