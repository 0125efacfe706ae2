// Races in global memory, against a model that compares every byte of every access with all others.
#include "emulator/touches.hpp"
#include "device.hpp"

using namespace gristmill;
using namespace gristmill::emulator;

namespace {

struct Access {
  uint64_t begin = 0;
  uint32_t bytes = 0, thread = 0, block = 0;
  Use kind = Use::read;
};

bool conflict(const Access& a, const Access& b) {
  const bool overlap = a.begin < b.begin + b.bytes && b.begin < a.begin + a.bytes;
  return overlap && (a.kind == Use::write || b.kind == Use::write || a.kind != b.kind);
}

/// Threads of three warps; accesses of 1, 2 or 4 bytes in few places, so that some meet.
Access draw(Rng& rng, uint32_t block, uint64_t places) {
  const uint32_t bytes = uint32_t{1} << rng.below(3);
  const auto kind = static_cast<Use>(rng.below(8) < 5 ? 0 : 1 + rng.below(2));
  return {kGlobalBase + rng.below(places) * bytes, bytes, static_cast<uint32_t>(rng.below(96)), block, kind};
}

uint32_t instruction(const Access& access) {
  return static_cast<uint32_t>(access.kind) * 3 + access.bytes / 2;
}

}  // namespace

TEST_CASE("warps of a block race exactly where a comparison of all accesses says so", "[emulator]") {
  int races = 0;
  for (uint64_t round = 0; round < 400; ++round) {
    Rng rng(round, stream_of(RandomStream::test));
    TouchLog log;
    log.begin_block(9);
    for (int time = 0; time < 4; ++time) {
      std::vector<Access> since;
      const uint64_t count = rng.below(12);
      for (uint64_t i = 0; i < count; ++i) {
        since.push_back(draw(rng, 0, 25));
        const Access& a = since.back();
        log.add(a.begin, a.bytes, instruction(a), a.thread, a.kind);
      }
      bool expected = false;
      for (const Access& a : since) {
        for (const Access& b : since)
          expected = expected || (a.thread / 32 != b.thread / 32 && conflict(a, b));
      }
      REQUIRE(log.barrier().empty() == !expected);
      races += expected ? 1 : 0;
    }
  }
  CHECK(races > 200);
  CHECK(races < 1400);
}

TEST_CASE("blocks race exactly where a comparison of all accesses says so", "[emulator]") {
  int races = 0;
  for (uint64_t round = 0; round < 400; ++round) {
    Rng rng(round, stream_of(RandomStream::test, 1));
    TouchTable table(1);
    std::vector<Access> all;
    for (uint32_t block = 0; block < 5; ++block) {
      TouchLog log;
      log.begin_block(9);
      std::vector<Access> own;
      const uint64_t count = rng.below(6);
      for (uint64_t i = 0; i < count; ++i) {
        own.push_back(draw(rng, block, 40));
        const Access& a = own.back();
        log.add(a.begin, a.bytes, instruction(a), a.thread, a.kind);
      }
      bool expected = false;
      for (const Access& a : own) {
        for (const Access& b : all) expected = expected || conflict(a, b);
      }
      REQUIRE(table.add(log.take(), block).empty() == !expected);
      all.insert(all.end(), own.begin(), own.end());
      races += expected ? 1 : 0;
    }
  }
  CHECK(races > 200);
  CHECK(races < 1800);
}

TEST_CASE("a log that grows long is shortened and loses nothing", "[emulator]") {
  TouchLog log;
  log.begin_block(2);
  for (uint64_t i = 0; i < 300000; ++i) {
    log.add(kGlobalBase + (i * 7919) % 100000 * 8, 4, 0, static_cast<uint32_t>(i % 64), Use::read);
  }
  log.add(kGlobalBase + 8 * 77, 4, 1, 5, Use::write);
  CHECK(log.barrier().size() == 1);
  const auto touches = log.take();
  CHECK(touches.size() == 100001);
  CHECK(touches.front().begin == kGlobalBase);
}
