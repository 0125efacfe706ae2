// The arena: what it gives out and takes back, that nobody waits for it, and that the emulated GPU still sees
// each access to memory that nobody holds.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "cuda/arguments.hpp"
#include "cuda/device.hpp"
#include "cuda/gpu.hpp"
#include "emulator/driver/emulated_driver.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::runtime;

namespace {

constexpr size_t kMegabyte = size_t{1} << 20;
constexpr size_t kMemory = 200 * kMegabyte;

struct Small {
  explicit Small(bool pooled = true)
      : gpu(emulator::emulated_driver(), emulator::add_gpu({.seed = 0, .threads = 1, .memory = kMemory}),
            pooled) {}
  cuda::Gpu gpu;

  void fill(void* memory, int64_t floats) {
    const cuda::Rows rows = {memory, 1, floats, floats, false};
    gpu.launch("elementary/fill", {{1}, {32}}, rows, uint32_t{1}, 1.0F);
  }
  void copy(void* to, const void* from, int64_t floats) {
    const cuda::Rows out = {to, 1, floats, floats, false};
    const cuda::ConstRows in = {from, 1, floats, floats, false};
    gpu.launch("elementary/copy", {{1}, {32}}, out, in, uint32_t{1});
  }
};

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  FAIL("no error");
  return {};
}

uint64_t launches_of(const std::string& kernel) {
  const auto all = emulator::kernel_use();
  const auto found = all.find(kernel);
  return found == all.end() ? 0 : found->second.launches;
}

}  // namespace

TEST_CASE("pieces of an arena are aligned and lie apart", "[cuda][emulator]") {
  Small small;
  uintptr_t last = 0;
  for (const size_t bytes : {0, 1, 255, 256, 257, 5000}) {
    const auto begin = reinterpret_cast<uintptr_t>(small.gpu.allocate(bytes));
    CHECK(begin % 256 == 0);
    CHECK(begin > last);
    last = begin + bytes;
  }
}

TEST_CASE("memory that is given back is handed out again, and nobody waits", "[cuda][emulator]") {
  emulator::clear_kernel_use();
  Small small;
  void* first = small.gpu.allocate(4096);
  small.fill(first, 1024);
  small.gpu.release(first);
  void* second = small.gpu.allocate(4096);
  CHECK(second == first);
  small.fill(second, 1024);
  CHECK(launches_of("fill") == 0);  // both are on their way
  CHECK_NOTHROW(small.gpu.synchronize());
  CHECK(launches_of("fill") == 2);
}

TEST_CASE("the smallest free piece that is large enough is taken, and free neighbours become one",
          "[cuda][emulator]") {
  Small small;
  cuda::Gpu& gpu = small.gpu;
  void* wide = gpu.allocate(3 * kMegabyte);
  void* between = gpu.allocate(1000);
  void* narrow = gpu.allocate(kMegabyte);
  void* last = gpu.allocate(1000);
  gpu.release(narrow);
  gpu.release(wide);
  CHECK(gpu.allocate(kMegabyte) == narrow);
  CHECK(gpu.allocate(kMegabyte / 2) == wide);
  gpu.release(wide);
  gpu.release(narrow);
  CHECK(gpu.allocate(4 * kMegabyte) > last);
  gpu.release(between);
  CHECK(gpu.allocate(4 * kMegabyte) == wide);
}

TEST_CASE("free bytes are those of the driver and of the arena", "[cuda][emulator]") {
  Small small;
  cuda::Gpu& gpu = small.gpu;
  CHECK(gpu.free_bytes() == kMemory);
  void* one = gpu.allocate(kMegabyte);
  CHECK(gpu.free_bytes() <= kMemory - kMegabyte);
  CHECK(gpu.free_bytes() >= kMemory - kMegabyte - 8192);
  void* other = gpu.allocate(kMegabyte);
  gpu.release(one);
  gpu.release(other);
  CHECK(gpu.free_bytes() == kMemory);

  const auto device =
      cuda::open_gpu(emulator::emulated_driver(), emulator::add_gpu({0, 1, kMemory}), "emu", {});
  CHECK(device->free_memory().value_or(0) == kMemory);
  const Buffer held(*device, DType::f32, 1, 1000);
  CHECK(device->free_memory().value_or(0) >= kMemory - 16384);
  CHECK(device->free_memory().value_or(0) <= kMemory - 4000);
}

TEST_CASE("memory that runs short comes from chunks that are free, and is refused with what is left",
          "[cuda][emulator]") {
  Small small;
  cuda::Gpu& gpu = small.gpu;
  void* held = gpu.allocate(1000);
  void* large = gpu.allocate(80 * kMegabyte);
  small.fill(large, 1024);
  gpu.release(large);
  CHECK(gpu.allocate(1000) != nullptr);  // of the small chunk: the large one stays whole
  void* larger = gpu.allocate(120 * kMegabyte);
  CHECK(larger != nullptr);
  const std::string said = message_of([&] { gpu.allocate(100 * kMegabyte); });
  CHECK_THAT(said, test::contains("the GPU has no 105 MB left: 84 MB are free"));
  CHECK_THAT(said, test::contains("are free, of which"));
  CHECK_THAT(said, test::contains("in pieces of at most 67 MB"));
  CHECK(gpu.try_allocate(100 * kMegabyte) == nullptr);
  CHECK(gpu.try_allocate(SIZE_MAX) == nullptr);
  CHECK_THROWS_AS(gpu.allocate(SIZE_MAX), Error);
  gpu.release(larger);
  CHECK_NOTHROW(gpu.release(gpu.allocate(100 * kMegabyte)));
  gpu.release(held);
  CHECK_NOTHROW(gpu.synchronize());
}

TEST_CASE("what was not handed out cannot be given back", "[cuda][emulator]") {
  Small small;
  char* memory = static_cast<char*>(small.gpu.allocate(1000));
  CHECK_THROWS_AS(small.gpu.release(memory + 256), Error);
  small.gpu.release(memory);
  CHECK_THROWS_AS(small.gpu.release(memory), Error);
}

TEST_CASE("an access one byte behind a piece is a fault, whatever lies there", "[cuda][emulator]") {
  Small small;
  void* memory = small.gpu.allocate(64);
  small.fill(small.gpu.allocate(64), 16);
  small.fill(memory, 16);
  CHECK_NOTHROW(small.gpu.synchronize());
  small.fill(memory, 17);
  const std::string said = message_of([&] { small.gpu.synchronize(); });
  CHECK_THAT(said, test::contains("kernel fill"));
  CHECK_THAT(said, test::contains("0 bytes behind an allocation of 64"));
}

TEST_CASE("an access to a piece that was given back is a fault", "[cuda][emulator]") {
  Small small;
  void* memory = small.gpu.allocate(64);
  small.fill(memory, 16);
  small.gpu.release(memory);
  CHECK_NOTHROW(small.gpu.synchronize());
  small.fill(memory, 16);
  const std::string said = message_of([&] { small.gpu.synchronize(); });
  CHECK_THAT(said, test::contains("kernel fill"));
  CHECK_THAT(said, test::contains("memory that nobody holds"));
}

TEST_CASE("a read of a fresh piece is a fault, of one that others had too", "[cuda][emulator]") {
  for (const bool had_others : {false, true}) {
    Small small;
    void* to = small.gpu.allocate(64);
    if (had_others) {
      void* before = small.gpu.allocate(64);
      small.fill(before, 16);
      small.gpu.release(before);
    }
    small.copy(to, small.gpu.allocate(64), 16);
    const std::string said = message_of([&] { small.gpu.synchronize(); });
    CHECK_THAT(said, test::contains("kernel copy"));
    CHECK_THAT(said, test::contains("read before anything was written"));
  }
}

TEST_CASE("scratch ends where its last user's ends", "[cuda][emulator]") {
  Small small;
  cuda::Workspace scratch(small.gpu);
  small.fill(scratch.get<float>(100), 100);
  CHECK_NOTHROW(small.gpu.synchronize());
  small.fill(scratch.get<float>(50), 51);
  CHECK_THAT(message_of([&] { small.gpu.synchronize(); }),
             test::contains("0 bytes behind an allocation of 200"));
}

TEST_CASE("without an arena each piece is the driver's, and giving it back waits", "[cuda][emulator]") {
  emulator::clear_kernel_use();
  Small small(false);
  void* memory = small.gpu.allocate(4096);
  CHECK(small.gpu.free_bytes() >= kMemory - 16384);
  small.fill(memory, 1024);
  small.gpu.release(memory);
  CHECK(launches_of("fill") == 1);
  CHECK(small.gpu.free_bytes() == kMemory);
}

TEST_CASE("where nobody watches accesses pieces lie side by side", "[cuda][emulator]") {
  cuda::Driver plain = emulator::emulated_driver();
  plain.show_async = nullptr;
  plain.hide_async = nullptr;
  cuda::Gpu gpu(plain, emulator::add_gpu({0, 1, kMemory}));
  char* first = static_cast<char*>(gpu.allocate(200));
  char* second = static_cast<char*>(gpu.allocate(256));
  char* third = static_cast<char*>(gpu.allocate(1));
  CHECK(second == first + 256);
  CHECK(third == second + 256);
  CHECK(gpu.free_bytes() == kMemory - 768);
  gpu.set_bytes(first, 1, 768);
  gpu.release(first);
  gpu.release(second);
  CHECK(gpu.allocate(500) == first);
  std::vector<unsigned char> content(256);
  gpu.read(content.data(), third, 256);
  CHECK(content == std::vector<unsigned char>(256, 1));
}
