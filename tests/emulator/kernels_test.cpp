// Kernels as nvcc compiled them: right answers, no false alarm for any order of warps and blocks, and every
// injected fault found, whichever the order.
#include "kernels.hpp"

using namespace gristmill;
using namespace gristmill::test;

namespace {

std::string stored(const std::string& name) {
  return read_file(std::string(GRISTMILL_TESTDATA) + "/emulator/" + name + ".ptx");
}

emulator::LaunchOptions with_seed(uint64_t seed, int threads = 1) {
  emulator::LaunchOptions options;
  options.seed = seed;
  options.threads = threads;
  return options;
}

const std::string kBarrier = "bar.sync", kNoBarrier = "// bar.sync";

}  // namespace

TEST_CASE("real kernels are right and without fault in any order of warps", "[emulator]") {
  const std::string rmsnorm = stored("rmsnorm"), gemm = stored("gemm"), attention = stored("attention");
  std::vector<std::byte> norm_bytes, product_bytes, attention_bytes;
  for (const uint64_t seed : {0, 1, 2, 3}) {
    const Outcome norm = run_rmsnorm(rmsnorm, with_seed(seed), 3, 1032);
    CHECK(norm.report.text() == "");
    CHECK(norm.worst < 0.005);
    const Outcome product = run_gemm(gemm, with_seed(seed), 64, 128, 96);
    CHECK(product.report.text() == "");
    CHECK(product.worst < 1e-5);
    const Outcome flash = run_attention(attention, with_seed(seed), 1, 147);
    CHECK(flash.report.text() == "");
    CHECK(flash.worst < 0.01);
    if (seed == 0) {
      norm_bytes = norm.bytes;
      product_bytes = product.bytes;
      attention_bytes = flash.bytes;
    }
    CHECK(norm.bytes == norm_bytes);
    CHECK(product.bytes == product_bytes);
    CHECK(flash.bytes == attention_bytes);
  }
}
