// What the emulated NCCL says of misuse, and of ranks that disagree, are gone or never come.

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/str.hpp"
#include "cuda/gpu.hpp"
#include "cuda/nccl/nccl.hpp"
#include "cuda/nccl/rank.hpp"
#include "emulator/driver/emulated_driver.hpp"
#include "emulator/nccl/emulated_nccl.hpp"
#include "errors.hpp"
#include "support/catch.hpp"
#include "support/thread_ranks.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using namespace gristmill::runtime::test;
using gristmill::test::run_ranks;

namespace {

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
