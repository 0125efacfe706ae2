// What a GPU device adds to the contract: late errors, red zones, launches that are checked.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "cuda/backend.hpp"
#include "cuda/device.hpp"
#include "cuda/gpu.hpp"
#include "emulator/driver/emulated_driver.hpp"
#include "errors.hpp"
#include "lab.hpp"
#include "parity.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

std::unique_ptr<Device> with_red_zones() {
  return cuda::open_gpu(emulator::emulated_driver(), emulator::add_gpu({}), "emu", {DType::f32, true});
}

struct OwnGpu {
  cuda::Gpu gpu{emulator::emulated_driver(), emulator::add_gpu({})};
};

}  // namespace

TEST_CASE("memory of a GPU is zeroed, and its host keeps nothing that it wrote", "[cuda]") {
  const auto device = open_parity_device(1);
  const Buffer buffer(*device, DType::f32, 700, 1000);  // more than a segment of the staging memory
  CHECK((read_float(*device, buffer.view()) == std::vector<float>(700000, 0.0F)));
  for (const float base : {0.0F, 0.5F}) {  // often enough to use each segment again
    std::vector<float> values(700000);
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) + base;
    const auto expected = values;
    write_real(*device, buffer.view(), values);
    values.assign(values.size(), -1.0F);
    write_real(*device, buffer.view(), values);
    write_real(*device, buffer.view(), expected);
    CHECK((read_float(*device, buffer.view()) == expected));
  }
  CHECK(!message_of(Kind::device, [&] {
           Buffer(*device, DType::f32, int64_t{1} << 31, int64_t{1} << 24);
         }).empty());
}

TEST_CASE("an index outside its table stops the GPU and names the kernel", "[cuda][emulator]") {
  const auto device = open_device("emu", 1);
  Lab lab(*device);
  const View out = lab.real(1, 3), table = lab.real(2, 3);
  lab.backend().embedding(out, table, lab.ints({2}), false);
  const std::string said = message_of(Kind::device, [&] { device->synchronize(); });
  CHECK(contains(said, "kernel embedding"));
  CHECK(message_of(Kind::device, [&] { device->synchronize(); }) == said);
}

TEST_CASE("methods of a GPU accept views of no rows", "[cuda]") {
  const auto device = open_parity_device(1);
  Lab lab(*device);
  const View none = lab.real(0, 4), weight = lab.values(2, 4, std::vector<double>(8, 1.0)),
             column = lab.real(0, 1), total = lab.doubles(1, 1);
  const View row = weight.row_range(0, 1);
  lab.backend().fill(none, 1);
  lab.backend().copy(none, none);
  lab.backend().sum_rows(row, none);
  lab.backend().sum_of_squares(total, none);
  lab.backend().embedding(none, weight, lab.ints({}), false);
  lab.backend().embedding_backward(weight, none, lab.ints({}));
  lab.backend().rmsnorm(none, column, none, row, 1e-5);
  lab.backend().rmsnorm_backward(none, true, row, none, none, row, column);
  CHECK((lab.read(weight) == std::vector<double>(8, 1.0)));
  CHECK((lab.read(total) == std::vector<double>{0}));
}

TEST_CASE("red zones tell of a write beside an allocation when it is given back or waited for",
          "[cuda][emulator]") {
  for (const int64_t beside : {-1, 4}) {
    const auto device = with_red_zones();
    Buffer whole(*device, DType::f32, 1, 4);
    device->backend().fill(whole.view(), 3);
    device->synchronize();
    View stray = whole.view();
    stray.data = static_cast<float*>(stray.data) + beside;
    stray.cols = stray.stride = 1;
    device->backend().fill(stray, 5);
    const std::string said = message_of(Kind::device, [&] { device->synchronize(); });
    CHECK(contains(said, "outside its memory"));
    CHECK(contains(said, beside < 0 ? "byte -4" : "byte 16"));
    whole = Buffer();
    CHECK(
        contains(message_of(Kind::device, [&] { Buffer(*device, DType::f32, 1, 1); }), "outside its memory"));
    CHECK_NOTHROW(device->synchronize());
  }
}

TEST_CASE("a launch checks its arguments and its grid", "[cuda][emulator]") {
  OwnGpu own;
  cuda::Gpu& gpu = own.gpu;
  const cuda::Rows rows = {nullptr, 0, 0, 0, false};
  const cuda::LaunchShape shape = {{1}, {32}};
  CHECK(contains(message_of(Kind::internal, [&] { gpu.launch("elementary/fill", shape, rows); }),
                 "takes 3 arguments, given 1"));
  CHECK(contains(
      message_of(Kind::internal, [&] { gpu.launch("elementary/fill", shape, rows, int64_t{1}, 1.0F); }),
      "number 1 has 4 bytes there, 8 here"));
  CHECK(
      contains(message_of(Kind::internal, [&] { gpu.launch("nothing/fill", shape); }), "no module nothing"));
  CHECK(contains(message_of(Kind::internal, [&] { gpu.launch("fill", shape); }), "module/kernel"));
  CHECK(contains(message_of(Kind::device, [&] { gpu.launch("elementary/no_kernel", shape); }), "no_kernel"));
  for (const cuda::LaunchShape& wrong : std::vector<cuda::LaunchShape>{
           {{1, 65536}, {32}}, {{1}, {1025}}, {{1}, {0}}, {{int64_t{1} << 31}, {32}}, {{1}, {32}, -1}}) {
    CHECK(contains(
        message_of(Kind::internal, [&] { gpu.launch("elementary/fill", wrong, rows, uint32_t{1}, 1.0F); }),
        "no launch of"));
  }
  const cuda::LaunchShape large = {{1}, {32}, 1 << 20};
  CHECK(contains(
      message_of(Kind::device, [&] { gpu.launch("elementary/fill", large, rows, uint32_t{1}, 1.0F); }),
      "elementary/fill needs"));
}

TEST_CASE("scratch that is handed out anew counts as never written", "[cuda][emulator]") {
  OwnGpu own;
  cuda::Workspace workspace(own.gpu);
  const auto copy_out = [&](float* from) {
    void* to = own.gpu.allocate(64);
    const cuda::ConstRows in = {from, 1, 16, 16, false};
    const cuda::Rows out = {to, 1, 16, 16, false};
    own.gpu.launch("elementary/copy", {{1}, {32}}, out, in, uint32_t{1});
    own.gpu.synchronize();
    own.gpu.release(to);
  };
  float* memory = workspace.get<float>(16);
  own.gpu.set_bytes(memory, 0, 64);
  CHECK_NOTHROW(copy_out(memory));
  CHECK(workspace.get<float>(8) == memory);
  CHECK(contains(message_of(Kind::device, [&] { copy_out(memory); }), "kernel copy"));
}

TEST_CASE("launches of kernels and what they did are counted", "[cuda][emulator]") {
  emulator::clear_kernel_use();
  const auto device = open_device("emu", 1);
  const Buffer buffer(*device, DType::f32, 1, 4096);
  device->backend().fill(buffer.view(), 1);
  device->backend().fill(buffer.view(), 2);
  CHECK(emulator::kernel_use().count("fill") == 0);  // nothing has run yet
  device->synchronize();
  const auto use = emulator::kernel_use().at("fill");
  CHECK(use.launches == 2);
  CHECK(use.counters.global_sectors == 2 * 4096 * 4 / 32);
  CHECK(use.counters.global_sectors == use.counters.global_sectors_ideal);
}

TEST_CASE("a GPU that is too old, or has too little for a kernel, is refused in one line",
          "[cuda][emulator]") {
  const auto open = [](const emulator::GpuOptions& options) {
    return cuda::open_gpu(emulator::emulated_driver(), emulator::add_gpu(options), "emu",
                          {DType::bf16, false});
  };
  emulator::GpuOptions old;
  old.capability = 75;
  CHECK(
      contains(message_of(Kind::device, [&] { open(old); }), "compute capability 7.5, and 8.0 is the least"));
  emulator::GpuOptions small;  // as GPUs of 8.6, 8.9 and 12.0
  small.capability = 86;
  small.most_shared = 99 * 1024;
  const auto device = open(small);
  for (const int64_t width : {128, 256}) {
    Lab lab(*device);
    const View q = lab.computed(5, width), k = lab.computed(5, width), v = lab.computed(5, width),
               out = lab.computed(5, width), lse = lab.real(5, 1), starts = lab.ints({0, 5});
    const AttentionShape shape{1, 1, width, 0.1};
    const auto attend = [&] {
      lab.backend().attention(out, lse, q, k, v, starts, shape);
      lab.backend().attention_backward(lab.computed(5, width), lab.computed(5, width), lab.computed(5, width),
                                       lab.computed(5, width), q, k, v, out, lse, starts, shape);
      device->synchronize();
    };
    if (width == 128) {
      attend();
    } else {
      CHECK(contains(message_of(Kind::device, attend), "shared memory a block, and this GPU has"));
    }
  }
}
