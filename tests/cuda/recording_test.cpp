// Work that a GPU device records and replays, and what it refuses meanwhile.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "cuda/device.hpp"
#include "emulator/driver/emulated_driver.hpp"
#include "errors.hpp"
#include "lab.hpp"
#include "parity.hpp"
#include "runtime/backend.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

TEST_CASE("recorded work is done when it is replayed, on what is there then", "[cuda]") {
  const auto device = open_parity_device(1);
  Lab lab(*device);
  const View sum = lab.values(1, 3, {0, 0, 0}), in = lab.values(1, 3, {1, 2, 3});
  const auto work = [&] { lab.backend().axpy(sum, 2, in); };
  work();
  const auto recording = device->record(work);
  REQUIRE(recording != nullptr);
  CHECK((lab.read(sum) == std::vector<double>{2, 4, 6}));
  recording->replay();
  CHECK((lab.read(sum) == std::vector<double>{4, 8, 12}));
  write_real(*device, in, std::vector<double>{10, 10, 10});
  recording->replay();
  recording->replay();
  CHECK((lab.read(sum) == std::vector<double>{44, 48, 52}));
}

TEST_CASE("what a replay could not do again is refused while work is recorded", "[cuda]") {
  const auto device = open_parity_device(1);
  Lab lab(*device);
  const View out = lab.values(1, 2, {1, 2});
  const std::vector<std::pair<const char*, std::function<void()>>> wrong = {
      {"memory is asked for while", [&] { Buffer(*device, DType::f32, 1, 1); }},
      {"values of the host are written while",
       [&] {
         write_real(*device, out, std::vector<double>{5, 6});
       }},
      {"values are read while", [&] { read_float(*device, out); }},
      {"somebody waits while", [&] { device->synchronize(); }},
      {"other work is recorded while", [&] { device->record([] {}); }}};
  for (const auto& [said, action] : wrong) {
    const auto work = [&, act = &action] {
      lab.backend().fill(out, 7);
      (*act)();
    };
    CHECK_THAT(message_of(Kind::internal, [&] { device->record(work); }), gristmill::test::contains(said));
    CHECK((lab.read(out) == std::vector<double>{1, 2}));  // and the device goes on
  }
}

TEST_CASE("a recording is void when memory was given back", "[cuda]") {
  const auto device = open_parity_device(1);
  Lab lab(*device);
  const View out = lab.values(1, 2, {1, 2});
  Buffer other(*device, DType::f32, 1, 100);
  const auto recording = device->record([&] { lab.backend().fill(out, 7); });
  REQUIRE(recording != nullptr);
  CHECK(recording->is_current());
  other = Buffer();
  CHECK(!recording->is_current());
  CHECK_THAT(message_of(Kind::internal, [&] { recording->replay(); }),
             gristmill::test::contains("record it anew"));
  auto inside = std::make_unique<Buffer>(*device, DType::f32, 1, 100);
  const auto gives_back = device->record([&] { inside = nullptr; });
  REQUIRE(gives_back != nullptr);
  CHECK(!gives_back->is_current());
  CHECK((lab.read(out) == std::vector<double>{1, 2}));
}

TEST_CASE("a replay takes weights as they are then, though products keep them rounded", "[cuda]") {
  const auto device = open_parity_device(1, DType::bf16);
  Lab lab(*device);
  const int64_t n = 64;
  const View weight = lab.values(n, n, std::vector<double>(n * n, 1.0)),
             in = lab.values(n, n, std::vector<double>(n * n, 1.0)), out = lab.real(n, n);
  Matmul product;
  product.out = out;
  product.a = in;
  product.b = weight;
  product.transpose_b = true;
  product.keep_b = true;
  const auto work = [&] { lab.backend().matmul(product); };
  work();
  work();
  const auto recording = device->record(work);
  REQUIRE(recording != nullptr);
  recording->replay();
  CHECK(lab.read(out)[0] == 64);
  lab.backend().fill(weight, 2);
  recording->replay();
  CHECK(lab.read(out)[0] == 128);
}

TEST_CASE("a fault in a replay names the kernel", "[cuda][emulator]") {
  const auto device = open_device("emu", 1);
  Lab lab(*device);
  const View out = lab.real(1, 3), table = lab.real(2, 3), ids = lab.ints({1});
  const auto recording = device->record([&] { lab.backend().embedding(out, table, ids, false); });
  recording->replay();
  device->synchronize();
  write_ints(*device, ids, std::vector<int32_t>{2});
  recording->replay();
  CHECK_THAT(message_of(Kind::device, [&] { device->synchronize(); }),
             gristmill::test::contains("kernel embedding"));
}

TEST_CASE("without graphs nothing is recorded", "[cuda][emulator]") {
  cuda::Driver old = emulator::emulated_driver();
  old.graph_launch = nullptr;
  cuda::DeviceOptions without;
  without.graphs = false;
  const auto none = [](Device& device) {
    bool called = false;
    CHECK(device.record([&] { called = true; }) == nullptr);
    CHECK(!called);
  };
  none(*cuda::open_gpu(old, emulator::add_gpu({}), "emu", {}));
  none(*cuda::open_gpu(emulator::emulated_driver(), emulator::add_gpu({}), "emu", without));
  none(*open_device("cpu", 1));
}

TEST_CASE("an emulated stream that is captured keeps its work, and nobody may wait or allocate",
          "[cuda][emulator]") {
  const cuda::Driver& driver = emulator::emulated_driver();
  const int ordinal = emulator::add_gpu({});
  cuda::Context context = nullptr;
  cuda::Stream stream = nullptr;
  cuda::DevicePointer memory = 0, more = 0;
  cuda::Graph graph = nullptr;
  cuda::GraphExec executable = nullptr;
  cuda::Event event = nullptr;
  driver.primary_context_retain(&context, ordinal);
  driver.context_set_current(context);
  driver.stream_create(&stream, 0);
  driver.event_create(&event, 0);
  driver.memory_allocate(&memory, 4);
  driver.set_bytes_async(memory, 1, 4, stream);
  CHECK_THROWS_AS(driver.stream_end_capture(stream, &graph), Error);
  driver.stream_begin_capture(stream, 0);
  driver.set_bytes_async(memory, 2, 2, stream);
  CHECK_THROWS_AS(driver.stream_synchronize(stream), Error);
  CHECK_THROWS_AS(driver.memory_allocate(&more, 4), Error);
  CHECK_THROWS_AS(driver.memory_free(memory), Error);
  CHECK_THROWS_AS(driver.event_record(event, stream), Error);
  CHECK_THROWS_AS(driver.stream_begin_capture(stream, 0), Error);
  driver.stream_end_capture(stream, &graph);
  driver.graph_instantiate(&executable, graph, 0);
  driver.graph_destroy(graph);
  CHECK_THROWS_AS(driver.graph_destroy(graph), Error);
  std::vector<uint8_t> before(4), after(4);
  driver.copy_to_host_async(before.data(), memory, 4, stream);
  driver.graph_launch(executable, stream);
  driver.copy_to_host_async(after.data(), memory, 4, stream);
  driver.stream_synchronize(stream);
  CHECK((before == std::vector<uint8_t>{1, 1, 1, 1}));
  CHECK((after == std::vector<uint8_t>{2, 2, 1, 1}));
  driver.graph_exec_destroy(executable);
  driver.stream_destroy(stream);
  driver.primary_context_release(ordinal);
}
