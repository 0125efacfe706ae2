// Memory that an allocator above divides: what it hides and shows.

#include <cstdint>

#include "base/error.hpp"
#include "emulator/memory.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using emulator::Memory;

TEST_CASE("hidden memory has allocations where it is shown", "[emulator]") {
  Memory memory;
  const uint64_t before = memory.allocate(64), chunk = memory.allocate(1024), behind = memory.allocate(64);
  memory.fill(chunk, 1, 1024);
  memory.hide(chunk);
  CHECK(memory.find(chunk) == nullptr);
  CHECK_THROWS_WITH(memory.fill(chunk, 1, 1), test::contains("memory that nobody holds"));
  memory.show(chunk + 256, 100);
  CHECK(memory.find(chunk + 255) == nullptr);
  REQUIRE(memory.find(chunk + 256) != nullptr);
  CHECK(memory.find(chunk + 355)->size() == 100);
  CHECK(memory.find(chunk + 356) == nullptr);
  CHECK(!memory.initialised(chunk + 256, 1));
  memory.fill(chunk + 256, 2, 100);
  memory.show(chunk + 256, 300);
  CHECK(!memory.initialised(chunk + 256, 1));
  CHECK(memory.find(chunk + 555) != nullptr);
  memory.show(chunk, 256);
  memory.hide(chunk + 256);
  CHECK(memory.find(chunk + 256) == nullptr);
  CHECK(memory.find(chunk) != nullptr);
  CHECK(memory.bytes_in_use() == 64 + 1024 + 64);
  memory.release(chunk);
  CHECK(memory.find(chunk) == nullptr);
  CHECK(memory.bytes_in_use() == 128);
  memory.release(before);
  memory.release(behind);
}

TEST_CASE("only hidden memory can be shown, and only once", "[emulator]") {
  Memory memory;
  const uint64_t open = memory.allocate(1024), chunk = memory.allocate(1024);
  memory.hide(chunk);
  memory.show(chunk + 256, 256);
  CHECK_THROWS_AS(memory.show(open, 16), Error);
  CHECK_THROWS_AS(memory.show(open + 256, 16), Error);
  CHECK_THROWS_AS(memory.show(chunk + 1000, 25), Error);
  CHECK_THROWS_AS(memory.show(chunk, 257), Error);
  CHECK_THROWS_AS(memory.show(chunk + 511, 1), Error);
  CHECK_NOTHROW(memory.show(chunk + 512, 512));
  CHECK_NOTHROW(memory.show(chunk, 256));
}

TEST_CASE("what is hidden is an allocation, and what is shown is not released by itself", "[emulator]") {
  Memory memory;
  const uint64_t chunk = memory.allocate(1024);
  CHECK_THROWS_AS(memory.hide(chunk + 256), Error);
  memory.hide(chunk);
  CHECK_THROWS_AS(memory.hide(chunk), Error);
  memory.show(chunk + 256, 16);
  CHECK_THROWS_AS(memory.release(chunk + 256), Error);
  CHECK_NOTHROW(memory.release(chunk));
  CHECK_THROWS_AS(memory.release(chunk), Error);
}
