// Products by cuBLASLt: the contract's scenarios forced through its table, which products are large, and what
// happens where the library is absent or fails.

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/str.hpp"
#include "cuda/cublas/cublas.hpp"
#include "cuda/device.hpp"
#include "cuda/library_products.hpp"
#include "emulator/cublas/emulated_cublas.hpp"
#include "emulator/driver/emulated_driver.hpp"
#include "errors.hpp"
#include "lab.hpp"
#include "parity.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

constexpr cuda::LibraryOptions kAll{0, 1, 1};  // all products are large

/// Runs the action; how much it used the emulated library.
emulator::CublasUse use_of(const std::function<void()>& action) {
  const auto before = emulator::cublas_use();
  action();
  const auto after = emulator::cublas_use();
  return {after.searches - before.searches, after.products - before.products, after.biases - before.biases,
          after.sums - before.sums};
}

/// Scenarios on a device all of whose products are large, in f32 or bf16.
emulator::CublasUse check_all(const std::vector<Scenario>& scenarios, DType compute) {
  return use_of([&] {
    const auto device = open_with_library(compute, kAll);
    compute == DType::f32 ? check_exact(scenarios, *device) : check_mixed(scenarios, *device);
  });
}

/// Results in f32 of bf16 operands, with a bias and with a residual beside it or in place, and without.
std::vector<Scenario> with_additions() {
  std::vector<Scenario> all;
  for (const bool transposed : {false, true}) {
    for (const int added : {0, 1, 2}) {
      all.push_back({str("matmul with a bias in f32, ", added), tolerance_of("matmul"), [=](Lab& lab) {
                       Matmul args;
                       args.a = lab.computed(33, 40, 0.5);
                       args.b = lab.real(transposed ? 48 : 40, transposed ? 40 : 48, 0.5);
                       args.transpose_b = transposed;
                       args.out = lab.real(33, 48);
                       args.bias = lab.real(1, 48);
                       if (added > 0) args.residual = added == 1 ? lab.real(33, 48) : args.out;
                       lab.backend().matmul(args);
                       return Outputs{lab.read(args.out)};
                     }});
    }
  }
  return all;
}

/// Those of the head that a moment is enough for.
std::vector<Scenario> heads() {
  auto all = only(head_scenarios(), {"head", "head_backward"});
  std::erase_if(all, [](const Scenario& each) { return each.name.find("20000") != std::string::npos; });
  return all;
}

/// A device whose table of cuBLASLt is the emulated one with something changed.
std::unique_ptr<Device> open_with(const cuda::Cublas& table) {
  cuda::DeviceOptions options;
  options.cublas = &table;
  options.library = kAll;
  return cuda::open_gpu(emulator::emulated_driver(), emulator::add_gpu({}), "emu", options);
}

/// A product of a size, with nothing behind its views.
Matmul shape(int64_t rows, int64_t cols, int64_t depth) {
  void* const somewhere = reinterpret_cast<void*>(uint64_t{1} << 20);
  Matmul args;
  args.out = View(somewhere, DType::bf16, rows, cols);
  args.a = View(somewhere, DType::bf16, rows, depth);
  args.b = View(somewhere, DType::f32, cols, depth);
  args.transpose_b = true;
  return args;
}

std::vector<double> product_on(Device& device) {
  Lab lab(device);
  Matmul args;
  args.out = lab.real(20, 24);
  args.a = lab.real(20, 16);
  args.b = lab.real(24, 16);
  args.bias = lab.real(1, 24);
  args.residual = lab.real(20, 24);
  args.transpose_b = true;
  lab.backend().matmul(args);
  return lab.read(args.out);
}

}  // namespace

TEST_CASE("products by cuBLASLt keep the contract", "[cuda]") {
  const auto use = check_all(product_scenarios(), DType::f32);
  if (!is_emulated()) return;
  CHECK(use.products == 11 * 9 * 2 * 2);  // dense and with gaps, each twice
  CHECK(use.biases == 11 * 2 * 2 * 2);
  CHECK(use.sums == 11 * 5 * 2 * 2);
}

TEST_CASE("products by cuBLASLt keep the contract in bf16", "[cuda]") {
  const auto use = check_all(product_scenarios(), DType::bf16);
  if (!is_emulated()) return;
  CHECK(use.products >
        11 * 7 * 2 * 2 - 100);  // not with a bias or a residual of another type than the result
  CHECK(use.sums > 100);
}

TEST_CASE("a bias and a residual are added by cuBLASLt where they have the result's type", "[cuda]") {
  const auto use = check_all(with_additions(), DType::bf16);
  if (!is_emulated()) return;
  CHECK(use.products == 6 * 2 * 2);
  CHECK(use.biases == 6 * 2 * 2);
  CHECK(use.sums == 4 * 2 * 2);
}

TEST_CASE("products with activations by cuBLASLt keep the contract", "[cuda]") {
  check_all(fused_scenarios(), DType::f32);
  check_all(fused_scenarios(), DType::bf16);
}

TEST_CASE("the head's products by cuBLASLt keep the contract", "[cuda]") { check_all(heads(), DType::f32); }

TEST_CASE("the head's products by cuBLASLt keep the contract in bf16", "[cuda]") {
  check_all(heads(), DType::bf16);
}

TEST_CASE("a product by cuBLASLt makes the bits of the activation's own kernel", "[cuda]") {
  for (const DType compute : {DType::f32, DType::bf16}) {
    const auto device = open_with_library(compute, kAll);
    Lab lab(*device);
    for (const auto activation : {Activation::gelu, Activation::swiglu}) {
      const bool gelu = activation == Activation::gelu;
      Matmul args;
      args.a = lab.computed(33, 40);
      args.b = lab.real(48, 40);
      args.transpose_b = true;
      args.out = lab.computed(33, 48);
      args.activated = lab.computed(33, gelu ? 48 : 24);
      args.activation = activation;
      const View alone = lab.computed(33, args.activated.cols);
      lab.backend().matmul(args);
      gelu ? lab.backend().gelu(alone, args.out) : lab.backend().swiglu(alone, args.out);
      CHECK((lab.read(alone) == lab.read(args.activated)));
    }
  }
}

TEST_CASE("a way to make a product is looked for once for each shape", "[cuda][emulator]") {
  const auto device = open_with_library(DType::f32, kAll);
  const auto use = use_of([&] {
    product_on(*device);
    product_on(*device);
  });
  CHECK(use.searches == 1);
  CHECK(use.products == 2);
}

TEST_CASE("products by cuBLASLt and weights that are kept for them are recorded and replayed", "[cuda]") {
  const auto device = open_with_library(DType::bf16, kAll);
  Lab lab(*device);
  const View weight = lab.real(16, 24), a = lab.computed(20, 24), out = lab.real(20, 16);
  const auto work = [&] { lab.backend().matmul({out, a, false, weight, true, false, true, {}, {}}); };
  const auto now = [&] {
    work();
    return lab.read(out);
  };
  work();
  lab.backend().fill(weight, 1);
  const auto recording = device->record(work);
  REQUIRE(recording != nullptr);
  const auto first = now();
  lab.backend().fill(out, 0);
  recording->replay();
  CHECK((lab.read(out) == first));
  lab.backend().copy(weight, lab.real(16, 24));
  recording->replay();
  const auto second = lab.read(out);
  CHECK((second != first));
  CHECK((now() == second));
}

TEST_CASE("large products are those that gain, and that the library can make", "[cuda][emulator]") {
  cuda::Gpu gpu(emulator::emulated_driver(), emulator::add_gpu({}));
  const cuda::LibraryProducts library(gpu, &emulator::emulated_cublas(), DType::bf16, {}),
      absent(gpu, nullptr, DType::bf16, kAll);
  const Matmul large = shape(1024, 1024, 512);
  CHECK(library.takes(large));
  CHECK(!absent.takes(large));
  CHECK(!library.takes(shape(1024, 1024, 504)));
  CHECK(!library.takes(shape(56, 65536, 4096)));
  CHECK(!library.takes(shape(65536, 56, 4096)));
  CHECK(!library.takes(shape(65536, 4096, 56)));
  CHECK(library.takes(shape(4096, 4104, 4096)));
  CHECK(!library.takes(shape(4096, 4100, 4096)));  // rows of the result do not begin on 16 bytes
  Matmul args = large;
  args.b.dtype = DType::i8;
  CHECK(!library.takes(args));
  args = large;
  args.residual = View(args.out.data, DType::f32, 1024, 1024);
  args.residual.data = static_cast<const char*>(args.residual.data) + (1 << 24);
  CHECK(!library.takes(args));  // of another type than the result
  args.out.dtype = DType::f32;
  CHECK(library.takes(args));
  args.bias = View(args.out.data, DType::bf16, 1, 1024);
  CHECK(!library.takes(args));
  args.bias.dtype = DType::f32;
  CHECK(library.takes(args));
  args.bias.data = static_cast<const char*>(args.bias.data) + 4;
  CHECK(!library.takes(args));
  args.bias = {};
  args.residual.data = args.out.data;
  CHECK(library.takes(args));
  args.residual.stride = 2048;
  CHECK(!library.takes(args));
}

TEST_CASE("small products go to our own kernels, and all where a variable says so", "[cuda][emulator]") {
  CHECK(use_of([] { product_on(*open_device("emu", 1)); }).products == 0);
  ::setenv("GRISTMILL_CUDA_CUBLAS", "of", 1);
  CHECK_THROWS_AS(open_device("emu", 1), Error);
  ::setenv("GRISTMILL_CUDA_CUBLAS", "off", 1);
  CHECK_NOTHROW(open_device("emu", 1));
  ::unsetenv("GRISTMILL_CUDA_CUBLAS");
}

TEST_CASE("a device makes its large products by cuBLASLt", "[cuda][emulator]") {
  const auto device = open_device("emu", 2);
  const Buffer a(*device, DType::f32, 1024, 512), b(*device, DType::f32, 512, 1024),
      out(*device, DType::f32, 1024, 1024);
  write_real(*device, a.view(), std::vector<float>(1024 * 512, 2));
  write_real(*device, b.view(), std::vector<float>(1024 * 512, 3));
  const auto use = use_of([&] {
    device->backend().matmul({out.view(), a.view(), false, b.view(), false, false, false, {}, {}});
    CHECK((read_float(*device, out.view()) == std::vector<float>(1024 * 1024, 2 * 3 * 512)));
  });
  CHECK(use.products == 1);
}

TEST_CASE("without cuBLASLt one line says so, and our own kernels make all products", "[cuda][emulator]") {
  const char* const missing[] = {"libno-such-cublas.so.13", "libno-such-cublas.so.12", nullptr};
  const char* const another[] = {"libno-such-cublas.so.13", "libm.so.6", nullptr};
  const cuda::FoundCublas none = cuda::find_cublas(missing), wrong = cuda::find_cublas(another);
  CHECK(none.functions == nullptr);
  CHECK(contains(none.absence, "libno-such-cublas.so.13"));
  CHECK(contains(none.absence, "libno-such-cublas.so.12"));
  CHECK(contains(none.absence, "our own kernels"));
  CHECK(!contains(none.absence, "\n"));
  CHECK(wrong.functions == nullptr);
  CHECK(contains(wrong.absence, "libm.so.6 has no cublasLtGetStatusString"));
  const auto with = open_with_library(DType::f32, kAll), without = open_with_library(DType::f32, kAll, false);
  std::vector<double> by_library, by_ourselves;
  CHECK(use_of([&] { by_library = product_on(*with); }).products == 1);
  CHECK(use_of([&] { by_ourselves = product_on(*without); }).products == 0);
  CHECK(difference({by_library}, {by_ourselves}) <= tolerance_of("matmul"));
}

TEST_CASE("an error of cuBLASLt is one line with its own words", "[cuda][emulator]") {
  cuda::Cublas table = emulator::emulated_cublas();
  table.library = "libcublasLt.so.99";
  table.status_string = [](cuda::CublasStatus) { return "the GPU program failed to execute"; };
  table.multiply = [](cuda::CublasHandle, cuda::CublasProduct, const void*, const void*, cuda::CublasLayout,
                      const void*, cuda::CublasLayout, const void*, const void*, cuda::CublasLayout, void*,
                      cuda::CublasLayout, const cuda::CublasAlgorithm*, void*, size_t,
                      cuda::Stream) -> cuda::CublasStatus { return 13; };
  const std::string said = message_of([&] { product_on(*open_with(table)); });
  CHECK(contains(said, "a product of 20 x 24, 16 deep, with cuBLASLt (libcublasLt.so.99): "));
  CHECK(contains(said, "the GPU program failed to execute (13)"));
  CHECK(!contains(said, "\n"));
  table.choose = [](cuda::CublasHandle, cuda::CublasProduct, cuda::CublasLayout, cuda::CublasLayout,
                    cuda::CublasLayout, cuda::CublasLayout, cuda::CublasPreference, int, cuda::CublasChoice*,
                    int*) -> cuda::CublasStatus { return 14; };
  CHECK(contains(message_of([&] { product_on(*open_with(table)); }), "looking for a way to make a product"));
  table.create = [](cuda::CublasHandle*) -> cuda::CublasStatus { return 1; };
  const auto by_ourselves = product_on(*open_with_library(DType::f32, kAll, false));
  CHECK((product_on(*open_with(table)) == by_ourselves));
}

TEST_CASE("what cuBLASLt has no way to make, our own kernels make", "[cuda][emulator]") {
  cuda::Cublas table = emulator::emulated_cublas();
  const auto expected = product_on(*open_with_library(DType::f32, kAll, false));
  table.choose = [](cuda::CublasHandle, cuda::CublasProduct, cuda::CublasLayout, cuda::CublasLayout,
                    cuda::CublasLayout, cuda::CublasLayout, cuda::CublasPreference, int, cuda::CublasChoice*,
                    int*) -> cuda::CublasStatus { return cuda::kCublasNotSupported; };
  CHECK((product_on(*open_with(table)) == expected));
  table.choose = [](cuda::CublasHandle, cuda::CublasProduct, cuda::CublasLayout, cuda::CublasLayout,
                    cuda::CublasLayout, cuda::CublasLayout, cuda::CublasPreference, int, cuda::CublasChoice*,
                    int* found) -> cuda::CublasStatus { return *found = 0, cuda::kCublasSuccess; };
  CHECK((product_on(*open_with(table)) == expected));
  table = emulator::emulated_cublas();
  table.multiply = [](cuda::CublasHandle, cuda::CublasProduct, const void*, const void*, cuda::CublasLayout,
                      const void*, cuda::CublasLayout, const void*, const void*, cuda::CublasLayout, void*,
                      cuda::CublasLayout, const cuda::CublasAlgorithm*, void*, size_t,
                      cuda::Stream) -> cuda::CublasStatus { return cuda::kCublasNotSupported; };
  CHECK((product_on(*open_with(table)) == expected));
}
