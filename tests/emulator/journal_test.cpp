// Launches that are taken back, and what is told of the instructions that they ran.
#include "emulator/journal.hpp"

#include <cstddef>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "device.hpp"

using namespace gristmill;
using namespace gristmill::test;
using emulator::Journal;

namespace {

/// Threads below `n` add 1 to their word of 64 bits; thread 3 jumps over the store.
const char* const kAdd = R"(.version 8.0
.target sm_80
.address_size 64
.entry k(.param .u64 p, .param .u32 n) {
.reg .b64 %a; .reg .b32 %t, %n; .reg .b64 %v; .reg .b64 %o; .reg .pred %c, %d;
ld.param.u64 %a, [p];
ld.param.u32 %n, [n];
mov.u32 %t, %tid.x;
setp.lt.u32 %c, %t, %n;
setp.eq.u32 %d, %t, 3;
mul.wide.u32 %o, %t, 8;
add.u64 %a, %a, %o;
mov.u64 %v, 0;
@%d bra DONE;
@%c ld.global.u64 %v, [%a];
add.u64 %v, %v, 1;
@%c st.global.u64 [%a], %v;
DONE: ret;
}
)";

/// Runs with the journal and gives back what it holds.
std::pair<Journal::Pages, Journal::Pages> effect(Device& device, uint64_t memory, uint32_t n) {
  Journal journal;
  device.memory.set_journal(&journal);
  device.run("k", {1}, {1024}, memory, n);
  device.memory.set_journal(nullptr);
  auto pages = std::pair(journal.before(), journal.now());
  journal.undo();
  return pages;
}

}  // namespace

TEST_CASE("a launch that is taken back leaves bytes, and what was written, as they were", "[emulator]") {
  Device device(kAdd);
  const uint64_t first = device.memory.allocate(9000);
  const std::vector<uint64_t> words(600, 7);
  device.memory.write(first, words.data(), 4800);  // of two pages, the second in part
  const auto [before, after] = effect(device, first, 600);
  CHECK(before.size() == 2);
  CHECK(after.at(first).bytes[0] == std::byte{8});
  CHECK(after.at(first).bytes[24] == std::byte{7});
  CHECK((device.download<uint64_t>(first, 600) == words));
  CHECK(device.memory.initialised(first, 4800));
  CHECK(!device.memory.initialised(first + 4800, 1));
  effect(device, first, 1024);  // reads and writes behind what was written
  CHECK(!device.memory.initialised(first + 4800, 1));
}

TEST_CASE("launches with the same effect are told from others", "[emulator]") {
  Device device(kAdd);
  const uint64_t memory = device.upload(std::vector<uint64_t>(1000, 7));
  const auto one = effect(device, memory, 600), same = effect(device, memory, 600),
             more = effect(device, memory, 601), none = effect(device, memory, 0),
             much = effect(device, memory, 1000);
  const auto alike = [](const auto& a, const auto& b) {
    return same_effect(a.first, a.second, b.first, b.second);
  };
  CHECK(alike(one, same));
  CHECK(none.first.empty());
  for (const auto* other : {&more, &none, &much}) {
    CHECK(!alike(one, *other));
    CHECK(!alike(*other, one));
  }
}

TEST_CASE("a byte that is written with what it held differs from one that never was", "[emulator]") {
  Device device(kAdd);
  const uint64_t memory = device.memory.allocate(64);
  // A read of what was never written gives ones, and the sum is 0, as memory is at first.
  const auto some = effect(device, memory, 2), more = effect(device, memory, 3);
  CHECK(some.second.at(memory).bytes == more.second.at(memory).bytes);
  CHECK(!same_effect(some.first, some.second, more.first, more.second));
}

TEST_CASE("a launch tells which instructions lanes did and which their guards kept some from", "[emulator]") {
  Device device(kAdd);
  const uint64_t memory = device.upload(std::vector<uint64_t>(1024, 7));
  const auto look = [&](uint32_t n, const std::string& opcode) {
    std::vector<uint8_t> seen;
    device.options.seen = &seen;
    device.run("k", {1}, {64}, memory, n);
    const auto& texts = device.module->kernel("k").texts;
    REQUIRE(seen.size() == texts.size());
    for (size_t i = 0; i < texts.size(); ++i) {
      if (texts[i].find(opcode) != std::string::npos) return static_cast<int>(seen[i]);
    }
    return -1;
  };
  CHECK(look(64, "st.global") == emulator::kDone);
  CHECK(look(40, "st.global") == (emulator::kDone | emulator::kKept));
  CHECK(look(0, "st.global") == emulator::kKept);
  CHECK(look(0, "bra") == (emulator::kDone | emulator::kKept));
  CHECK(look(0, "ret") == emulator::kDone);
}

TEST_CASE("a launch may end with the first instruction that has a fault", "[emulator]") {
  Device device(kAdd);
  const uint64_t memory = device.memory.allocate(64);
  const auto places = [&] {
    std::set<std::string> instructions;
    for (const auto& fault : device.run("k", {2}, {64}, memory, 64u).faults) {
      instructions.insert(fault.instruction);
    }
    return instructions.size();
  };
  CHECK(places() == 2);
  device.options.stop_at_fault = true;
  CHECK(places() == 1);
}
