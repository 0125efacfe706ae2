// The table of driver functions where there is no driver, and the emulated GPU behind it: streams that wait
// until they must, copies that read their source late, faults that are told.

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/str.hpp"
#include "cuda/driver/driver.hpp"
#include "emulator/driver/emulated_driver.hpp"
#include "errors.hpp"
#include "runtime/cuda.hpp"
#include "runtime/device.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using namespace gristmill::runtime::test;
using cuda::DevicePointer;

namespace {

/// A table of functions with an emulated GPU's context, current on this thread.
struct Emulated {
  const cuda::Driver& driver = emulator::emulated_driver();
  int device = emulator::add_gpu({});
  cuda::Context context = nullptr;
  cuda::Stream stream = nullptr;

  Emulated() {
    driver.primary_context_retain(&context, device);
    driver.context_set_current(context);
    driver.stream_create(&stream, 0);
  }
  ~Emulated() {
    driver.stream_destroy(stream);
    driver.primary_context_release(device);
  }
  DevicePointer allocate(size_t bytes) {
    DevicePointer pointer = 0;
    driver.memory_allocate(&pointer, bytes);
    return pointer;
  }
  uint8_t* page_locked(size_t bytes) {
    void* memory = nullptr;
    driver.host_allocate(&memory, bytes, 0);
    return static_cast<uint8_t*>(memory);
  }
};

}  // namespace

TEST_CASE("a missing driver is one clear line", "[cuda]") {
  const std::string said = message_of([] { cuda::load_driver("libno-such-driver.so.1"); });
  CHECK(contains(said, "no NVIDIA driver"));
  CHECK(contains(said, "libno-such-driver.so.1"));
  CHECK(contains(said, "--device cpu"));
  CHECK(!contains(said, "\n"));
}

TEST_CASE("a library that is no driver is told by what it lacks", "[cuda]") {
  const std::string said = message_of([] { cuda::load_driver("libm.so.6"); });
  CHECK(contains(said, "too old"));
  CHECK(contains(said, "cuInit"));
  CHECK(!contains(said, "\n"));
}

TEST_CASE("auto takes the CPU where there is no GPU, and cuda says why it cannot", "[cuda]") {
  if (cuda_device_count() > 0) return;
  CHECK(open_device("auto", 1)->name().substr(0, 4) == "cpu ");
  CHECK(!message_of([] { open_device("cuda", 1); }).empty());
}

TEST_CASE("work on an emulated stream runs only when somebody waits", "[cuda][emulator]") {
  Emulated gpu;
  const DevicePointer memory = gpu.allocate(4);
  std::vector<uint8_t> out(4, 9);
  gpu.driver.set_bytes_async(memory, 7, 4, gpu.stream);
  gpu.driver.copy_to_host_async(out.data(), memory, 4, gpu.stream);
  CHECK((out == std::vector<uint8_t>(4, 9)));
  gpu.driver.stream_synchronize(gpu.stream);
  CHECK((out == std::vector<uint8_t>(4, 7)));
}

TEST_CASE("an emulated copy to the device reads its source when it runs, from page-locked memory only",
          "[cuda][emulator]") {
  Emulated gpu;
  const DevicePointer memory = gpu.allocate(1);
  uint8_t* source = gpu.page_locked(1);
  uint8_t out = 0;
  *source = 1;
  gpu.driver.copy_to_device_async(memory, source, 1, gpu.stream);
  *source = 2;  // too early: the copy has not run
  gpu.driver.copy_to_host_async(&out, memory, 1, gpu.stream);
  gpu.driver.stream_synchronize(gpu.stream);
  CHECK(out == 2);
  const uint8_t pageable = 3;
  CHECK(contains(message_of([&] { gpu.driver.copy_to_device_async(memory, &pageable, 1, gpu.stream); }),
                 "not page-locked"));
  CHECK(contains(message_of([&] { gpu.driver.copy_to_device_async(memory, source, 2, gpu.stream); }),
                 "not page-locked"));
}

TEST_CASE("an emulated event ends with what its stream held when it was recorded", "[cuda][emulator]") {
  Emulated gpu;
  const DevicePointer memory = gpu.allocate(1);
  cuda::Stream other = nullptr;
  cuda::Event event = nullptr;
  gpu.driver.stream_create(&other, 0);
  gpu.driver.event_create(&event, 0);
  uint8_t early = 0, late = 0;
  gpu.driver.set_bytes_async(memory, 1, 1, gpu.stream);
  gpu.driver.event_record(event, gpu.stream);
  gpu.driver.set_bytes_async(memory, 2, 1, gpu.stream);
  gpu.driver.stream_wait_event(other, event, 0);
  gpu.driver.copy_to_host_async(&early, memory, 1, other);
  gpu.driver.stream_synchronize(other);
  CHECK(early == 1);  // the first item ran, the second did not
  gpu.driver.event_synchronize(event);
  gpu.driver.copy_to_host_async(&late, memory, 1, other);
  gpu.driver.stream_synchronize(other);
  CHECK(late == 1);
  gpu.driver.stream_synchronize(gpu.stream);
  gpu.driver.copy_to_host_async(&late, memory, 1, other);
  gpu.driver.stream_synchronize(other);
  CHECK(late == 2);
  gpu.driver.event_destroy(event);
  gpu.driver.stream_destroy(other);
}

TEST_CASE("an emulated GPU that had a fault is lost, and what it holds can still be given back",
          "[cuda][emulator]") {
  Emulated gpu;
  const DevicePointer memory = gpu.allocate(4);
  gpu.driver.set_bytes_async(memory, 0, 5, gpu.stream);
  const std::string said = message_of([&] { gpu.driver.stream_synchronize(gpu.stream); });
  CHECK(contains(said, "outside every allocation"));
  CHECK(message_of([&] { gpu.driver.stream_synchronize(gpu.stream); }) == said);
  CHECK(message_of([&] { gpu.allocate(1); }) == said);
  gpu.driver.memory_free(memory);
}

TEST_CASE("an emulated GPU refuses handles that it did not give out", "[cuda][emulator]") {
  Emulated gpu;
  cuda::Stream stranger = reinterpret_cast<cuda::Stream>(&gpu);
  CHECK(contains(message_of([&] { gpu.driver.stream_synchronize(stranger); }), "no such stream"));
  CHECK(contains(message_of([&] { gpu.driver.memory_free(12345); }), "release of"));
  CHECK(contains(message_of([&] { gpu.driver.host_free(&gpu); }), "did not give out"));
}

TEST_CASE("each emulated device is a GPU of its own", "[cuda][emulator]") {
  const auto first = open_device("emu", 1), second = open_device("emu", 1);
  const Buffer a(*first, DType::f32, 1, 3), b(*second, DType::f32, 1, 3);
  write_real(*first, a.view(), std::vector<float>{1, 2, 3});
  write_real(*second, b.view(), std::vector<float>{4, 5, 6});
  CHECK((read_float(*first, a.view()) == std::vector<float>{1, 2, 3}));
  CHECK((read_float(*second, b.view()) == std::vector<float>{4, 5, 6}));
  CHECK(first->name() == "emu (emulated GPU)");
  CHECK(first->free_memory().value_or(0) > 0);
}
