// What the emulated cuBLASLt looks at: everything that it checks is seen to be told.

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "cuda/cublas/cublas.hpp"
#include "emulator/cublas/emulated_cublas.hpp"
#include "emulator/driver/emulated_driver.hpp"
#include "errors.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::runtime::cuda;
using namespace gristmill::runtime::test;

namespace {

constexpr int64_t kRows = 8, kCols = 4, kDepth = 16;

/// A product D = A·B (+ C + bias) of f32, column-major, on a GPU of its own; a test changes one thing.
struct Bench {
  const Driver& driver = emulator::emulated_driver();
  const Cublas& cublas = emulator::emulated_cublas();
  int device = emulator::add_gpu({});
  Context context = nullptr;
  Stream stream = nullptr;
  CublasHandle handle = nullptr;
  CublasProduct product = nullptr;
  CublasLayout a = nullptr, b = nullptr, c = nullptr, d = nullptr;
  CublasPreference preference = nullptr;
  DevicePointer at_a = 0, at_b = 0, at_c = 0, at_d = 0, bias = 0, workspace = 0;
  CublasChoice choice = {};
  float beta = 1;

  Bench() {
    driver.primary_context_retain(&context, device);
    driver.context_set_current(context);
    driver.stream_create(&stream, 0);
    cublas.create(&handle);
    cublas.product_create(&product, kComputeF32, kTypeF32);
    cublas.layout_create(&a, kTypeF32, kRows, kDepth, kRows);
    cublas.layout_create(&b, kTypeF32, kDepth, kCols, kDepth);
    cublas.layout_create(&c, kTypeF32, kRows, kCols, kRows);
    cublas.layout_create(&d, kTypeF32, kRows, kCols, kRows);
    cublas.preference_create(&preference);
    set(PreferenceAttribute::most_workspace, uint64_t{1} << 16);
    for (const auto side : {PreferenceAttribute::alignment_a, PreferenceAttribute::alignment_b,
                            PreferenceAttribute::alignment_c, PreferenceAttribute::alignment_d})
      set(side, uint32_t{16});
    at_a = filled(4 * kRows * kDepth, 1.0F);
    at_b = filled(4 * kDepth * kCols, 2.0F);
    at_c = filled(4 * kRows * kCols, 3.0F);
    bias = filled(4 * kRows, 4.0F);
    at_d = allocated(4 * kRows * kCols);
    workspace = allocated(1 << 16);
    set(ProductAttribute::epilogue, kEpilogueBias);
    set(ProductAttribute::bias_pointer, bias);
  }
  ~Bench() {
    cublas.destroy(handle);
    driver.primary_context_release(device);
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  DevicePointer allocated(size_t bytes) const {
    DevicePointer memory = 0;
    driver.memory_allocate(&memory, bytes);
    return memory;
  }
  DevicePointer filled(size_t bytes, float value) const {
    const DevicePointer memory = allocated(bytes);
    void* host = nullptr;
    driver.host_allocate(&host, bytes, 0);
    for (size_t i = 0; i < bytes; i += sizeof value) std::memcpy(static_cast<char*>(host) + i, &value, 4);
    driver.copy_to_device_async(memory, host, bytes, stream);
    driver.stream_synchronize(stream);
    driver.host_free(host);
    return memory;
  }
  template <class Value>
  CublasStatus set(ProductAttribute attribute, const Value& value) {
    return cublas.product_set(product, attribute, &value, sizeof value);
  }
  template <class Value>
  CublasStatus set(PreferenceAttribute attribute, const Value& value) {
    return cublas.preference_set(preference, attribute, &value, sizeof value);
  }
  CublasStatus choose() {
    int found = 0;
    const CublasStatus status = cublas.choose(handle, product, a, b, c, d, preference, 1, &choice, &found);
    CHECK(found == (status == kCublasSuccess ? 1 : 0));
    return status;
  }
  CublasStatus multiply(size_t workspace_bytes = 1 << 16) {
    const float one = 1;
    const auto pointer = [](DevicePointer memory) { return reinterpret_cast<void*>(memory); };
    return cublas.multiply(handle, product, &one, pointer(at_a), a, pointer(at_b), b, &beta, pointer(at_c), c,
                           pointer(at_d), d, &choice.algorithm, pointer(workspace), workspace_bytes, stream);
  }
  void run() {
    REQUIRE(choose() == kCublasSuccess);
    REQUIRE(multiply() == kCublasSuccess);
    driver.stream_synchronize(stream);
  }
  std::vector<float> result() const {
    std::vector<float> values(kRows * kCols);
    driver.copy_to_host_async(values.data(), at_d, 4 * values.size(), stream);
    driver.stream_synchronize(stream);
    return values;
  }
};

}  // namespace

TEST_CASE("the emulated cuBLASLt makes a product when its stream runs", "[cuda][emulator]") {
  Bench bench;
  REQUIRE(bench.choose() == kCublasSuccess);
  const auto before = emulator::cublas_use().products;
  REQUIRE(bench.multiply() == kCublasSuccess);
  CHECK(emulator::cublas_use().products == before);  // nobody has waited
  CHECK((bench.result() == std::vector<float>(kRows * kCols, 2 * kDepth + 3 + 4)));
  CHECK(emulator::cublas_use().products == before + 1);
}

TEST_CASE("the emulated cuBLASLt tells of operands that were not written", "[cuda][emulator]") {
  const std::vector<std::pair<std::string, DevicePointer Bench::*>> operands = {
      {"A", &Bench::at_a}, {"B", &Bench::at_b}, {"C", &Bench::at_c}};
  for (const auto& [name, operand] : operands) {
    Bench bench;
    bench.*operand = bench.allocated(1024);
    const std::string said = message_of([&] { bench.run(); });
    CHECK(contains(said, name + " was not written"));
    CHECK(contains(said, "a product of 8 x 4, 16 deep"));
    CHECK(message_of([&] { bench.result(); }) == said);  // the GPU is lost
  }
  Bench bench;
  bench.set(ProductAttribute::bias_pointer, bench.allocated(64));
  CHECK(contains(message_of([&] { bench.run(); }), "the bias was not written"));
}

TEST_CASE("the emulated cuBLASLt does not read C where beta is zero", "[cuda][emulator]") {
  Bench bench;
  bench.beta = 0;
  bench.at_c = bench.at_d;
  bench.run();
  CHECK((bench.result() == std::vector<float>(kRows * kCols, 2 * kDepth + 4)));
}

TEST_CASE("the emulated cuBLASLt tells of matrices that end outside memory", "[cuda][emulator]") {
  const std::vector<std::pair<std::string, DevicePointer Bench::*>> matrices = {
      {"A", &Bench::at_a},
      {"B", &Bench::at_b},
      {"C", &Bench::at_c},
      {"D", &Bench::at_d},
      {"the workspace", &Bench::workspace}};
  for (const auto& [name, matrix] : matrices) {
    Bench bench;
    bench.*matrix = bench.filled(48, 0.0F);
    const std::string said = message_of([&] { bench.run(); });
    CHECK(contains(said, name + " lies outside memory"));
    CHECK(contains(said, "allocation of 48"));
  }
}

TEST_CASE("the emulated cuBLASLt tells of results that lie over operands", "[cuda][emulator]") {
  Bench over;
  over.at_d = over.at_a;
  CHECK(contains(message_of([&] { over.run(); }), "D lies over A"));
  Bench beside;
  beside.at_c = beside.filled(1024, 1.0F);
  beside.at_d = beside.at_c + 16;
  CHECK(contains(message_of([&] { beside.run(); }), "D lies over C"));
  Bench in_place;
  in_place.at_d = in_place.at_c;
  CHECK_NOTHROW(in_place.run());
}

TEST_CASE("the emulated cuBLASLt tells of handles that are not alive", "[cuda][emulator]") {
  Bench bench;
  REQUIRE(bench.choose() == kCublasSuccess);
  CHECK(bench.cublas.layout_destroy(bench.d) == kCublasSuccess);
  CHECK(contains(message_of([&] { bench.multiply(); }), "no such description of D"));
  CHECK(bench.cublas.layout_destroy(bench.d) == kCublasInvalidValue);
  CHECK(bench.cublas.preference_destroy(bench.preference) == kCublasSuccess);
  CHECK(contains(message_of([&] { bench.choose(); }), "no such preference"));
  CHECK(bench.cublas.product_destroy(bench.product) == kCublasSuccess);
  CHECK(contains(message_of([&] { bench.set(ProductAttribute::epilogue, kEpilogueNone); }),
                 "no such description of a product"));
  CHECK(bench.cublas.destroy(bench.handle) == kCublasSuccess);
  CHECK(contains(message_of([&] { bench.multiply(); }), "no such handle"));
}

TEST_CASE("the emulated cuBLASLt refuses what the library's table of types lacks", "[cuda][emulator]") {
  const auto refused = [](const std::function<void(Bench&)>& change) {
    Bench bench;
    change(bench);
    return bench.choose() == kCublasNotSupported && bench.multiply() == kCublasNotSupported;
  };
  const auto as = [](CublasLayout Bench::*which, int type, int64_t rows, int64_t cols) {
    return [=](Bench& bench) {
      bench.cublas.layout_create(&(bench.*which), type, static_cast<uint64_t>(rows),
                                 static_cast<uint64_t>(cols), rows);
    };
  };
  CHECK(refused([](Bench& bench) { bench.set(ProductAttribute::epilogue, uint32_t{32}); }));  // GELU
  CHECK(refused(as(&Bench::a, kTypeBf16, kRows, kDepth)));                                    // beside f32
  CHECK(refused(as(&Bench::c, kTypeBf16, kRows, kCols)));  // beside a D of f32
  CHECK(refused([&](Bench& bench) {                        // of f32
    as(&Bench::c, kTypeBf16, kRows, kCols)(bench);
    as(&Bench::d, kTypeBf16, kRows, kCols)(bench);
  }));
  CHECK(refused([](Bench& bench) { bench.cublas.product_create(&bench.product, kComputeF32, kTypeBf16); }));
  CHECK(refused([](Bench& bench) { bench.cublas.product_create(&bench.product, 64, kTypeF32); }));
}

TEST_CASE("the emulated cuBLASLt refuses shapes that do not fit each other", "[cuda][emulator]") {
  const auto said = [](CublasLayout Bench::*which, uint64_t rows, uint64_t cols, int64_t pitch) {
    Bench bench;
    bench.cublas.layout_create(&(bench.*which), kTypeF32, rows, cols, pitch);
    return bench.choose();
  };
  CHECK(said(&Bench::a, kRows, kDepth + 1, kRows) == kCublasInvalidValue);
  CHECK(said(&Bench::b, kDepth, kCols + 1, kDepth) == kCublasInvalidValue);
  CHECK(said(&Bench::c, kRows + 1, kCols, kRows + 1) == kCublasInvalidValue);
  CHECK(said(&Bench::d, kRows, kCols, kRows - 1) == kCublasInvalidValue);  // columns over each other
  CHECK(said(&Bench::d, kRows, kCols, kRows + 8) == kCublasSuccess);
  Bench bench;
  CHECK(bench.set(ProductAttribute::transpose_a, 2) == kCublasSuccess);
  CHECK(bench.choose() == kCublasInvalidValue);
  CHECK(bench.set(ProductAttribute::epilogue, uint64_t{1}) == kCublasInvalidValue);  // of four bytes
}

TEST_CASE("the emulated cuBLASLt holds a product to what its algorithm was chosen for", "[cuda][emulator]") {
  Bench unasked;
  CHECK(contains(message_of([&] { unasked.multiply(); }), "comes from no search"));
  Bench changed;
  REQUIRE(changed.choose() == kCublasSuccess);
  changed.set(ProductAttribute::epilogue, kEpilogueNone);
  CHECK(contains(message_of([&] { changed.multiply(); }), "chosen for another product"));
  for (DevicePointer Bench::*operand : {&Bench::at_a, &Bench::at_b, &Bench::at_c, &Bench::at_d}) {
    Bench moved;
    REQUIRE(moved.choose() == kCublasSuccess);
    moved.*operand = moved.filled(1024, 1.0F) + 4;
    CHECK(contains(message_of([&] { moved.multiply(); }), "does not lie on 16 bytes, as was promised"));
  }
  Bench bias;
  REQUIRE(bias.choose() == kCublasSuccess);
  bias.set(ProductAttribute::bias_pointer, bias.bias + 4);
  CHECK(contains(message_of([&] { bias.multiply(); }), "the bias does not lie on 256 bytes"));
  Bench workspace;
  REQUIRE(workspace.choose() == kCublasSuccess);
  CHECK(workspace.choice.workspace > 0);
  CHECK(workspace.multiply(workspace.choice.workspace - 1) == kCublasInvalidValue);
  workspace.workspace += 16;
  CHECK(contains(message_of([&] { workspace.multiply(); }), "the workspace does not lie on 256 bytes"));
}

TEST_CASE("the emulated cuBLASLt overwrites the workspace", "[cuda][emulator]") {
  Bench bench;
  bench.workspace = bench.filled(1 << 16, 1.0F);
  bench.at_a = bench.workspace + 256;  // an operand in it is lost
  bench.run();
  CHECK(bench.result()[0] != bench.result()[0]);
}
