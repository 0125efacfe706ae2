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

namespace {

/// What a missing order shows: which of them depends on who comes first.
const std::vector<FaultKind> kOrder = {
    FaultKind::shared_read_after_write,  FaultKind::shared_write_after_read,
    FaultKind::shared_write_after_write, FaultKind::shared_uninitialised,
    FaultKind::copy_in_flight,           FaultKind::copy_not_awaited};

/// What may follow where the lanes of a warp lost each other.
const std::vector<FaultKind> kDivergence = {
    FaultKind::shared_read_after_write, FaultKind::shared_write_after_read, FaultKind::shared_uninitialised,
    FaultKind::copy_in_flight, FaultKind::divergent_warp};

bool among(FaultKind kind, const std::vector<FaultKind>& kinds) {
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

/// Every seed shows one of the faults `needed`, and beside them only those that may follow.
template <class Run>
void caught(const std::string& what, const Run& run, const std::vector<FaultKind>& needed,
            const std::vector<FaultKind>& allowed = {}) {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const Report report = run(with_seed(seed)).report;
    INFO(what << " with seed " << seed << ":\n" << report.text());
    bool found = false;
    for (const auto& fault : report.faults) {
      found = found || among(fault.kind, needed);
      CHECK((among(fault.kind, needed) || among(fault.kind, allowed)));
      CHECK(fault.line > 0);
    }
    CHECK(found);
  }
}

/// A barrier that only the threads below `limit` reach.
std::string barrier_below(int limit) {
  return str("{ .reg .pred below; .reg .b32 id; mov.u32 id, %tid.x; setp.lt.u32 below, id, ", limit,
             "; @below bar.sync 0; } //");
}

}  // namespace

TEST_CASE("each barrier that rmsnorm lacks is found", "[emulator]") {
  const std::string ptx = stored("rmsnorm");
  REQUIRE(count_of(ptx, kBarrier) == 2);
  for (int which = 0; which < 2; ++which) {
    const std::string broken = replaced(ptx, kBarrier, kNoBarrier, which);
    caught(str("without barrier ", which),
           [&](const auto& options) { return run_rmsnorm(broken, options, 2, 512); },
           {FaultKind::shared_read_after_write, FaultKind::shared_uninitialised,
            FaultKind::shared_write_after_read});
  }
}

TEST_CASE("each barrier that the double-buffered product lacks is found", "[emulator]") {
  const std::string ptx = stored("gemm");
  REQUIRE(count_of(ptx, kBarrier) == 2);
  const auto run = [](const std::string& text) {
    return [text](const emulator::LaunchOptions& options) { return run_gemm(text, options, 64, 64, 160); };
  };
  caught("after the load", run(replaced(ptx, kBarrier, kNoBarrier, 0)), kOrder);
  caught("at the end of the loop", run(replaced(ptx, kBarrier, kNoBarrier, 1)), kOrder);
}

TEST_CASE("each barrier that attention lacks is found", "[emulator]") {
  const std::string ptx = stored("attention");
  REQUIRE(count_of(ptx, kBarrier) == 4);
  for (int which = 0; which < 4; ++which) {
    const std::string broken = replaced(ptx, kBarrier, kNoBarrier, which);
    caught(
        str("without barrier ", which),
        [&](const auto& options) { return run_attention(broken, options, 1, 130); }, kOrder);
  }
}

TEST_CASE("waiting for one group too few is found", "[emulator]") {
  const std::string gemm = stored("gemm"), attention = stored("attention");
  const auto wait = [](int groups) { return str("cp.async.wait_group ", groups, ";"); };
  for (const auto& broken : {replaced(gemm, wait(1), wait(2)), replaced(gemm, wait(0), wait(1))}) {
    caught(
        "gemm", [&](const auto& options) { return run_gemm(broken, options, 64, 64, 96); },
        {FaultKind::copy_in_flight, FaultKind::copy_not_awaited}, kOrder);
  }
  for (const auto& broken : {replaced(attention, wait(0), wait(1), 0), replaced(attention, wait(1), wait(2)),
                             replaced(attention, wait(0), wait(1), 1)}) {
    caught(
        "attention", [&](const auto& options) { return run_attention(broken, options, 1, 70); },
        {FaultKind::copy_in_flight, FaultKind::copy_not_awaited}, kOrder);
  }
}

TEST_CASE("one element out of bounds is found", "[emulator]") {
  const std::string rmsnorm = stored("rmsnorm"), gemm = stored("gemm"), attention = stored("attention");
  caught("rmsnorm",
         [&](const auto& options) {
           return run_rmsnorm(rmsnorm, options, 2, 256, {2, 0});
         },
         {FaultKind::global_out_of_bounds});
  caught("gemm",
         [&](const auto& options) {
           return run_gemm(gemm, options, 64, 64, 32, {4, 0});
         },
         {FaultKind::global_out_of_bounds});
  caught("attention",
         [&](const auto& options) {
           return run_attention(attention, options, 1, 65, {2, 0});
         },
         {FaultKind::global_out_of_bounds});
  const std::string smaller = replaced(gemm, "tile_b[10240]", "tile_b[10208]");
  caught(
      "shared", [&](const auto& options) { return run_gemm(smaller, options, 64, 64, 64); },
      {FaultKind::shared_out_of_bounds}, kOrder);
}

TEST_CASE("misaligned vectors are found", "[emulator]") {
  const std::string rmsnorm = stored("rmsnorm"), gemm = stored("gemm");
  caught("rmsnorm",
         [&](const auto& options) {
           return run_rmsnorm(rmsnorm, options, 1, 256, {0, 2});
         },
         {FaultKind::global_misaligned}, {FaultKind::global_out_of_bounds});
  caught("gemm",
         [&](const auto& options) {
           return run_gemm(gemm, options, 64, 64, 32, {0, 8});
         },
         {FaultKind::global_misaligned}, {FaultKind::global_out_of_bounds, FaultKind::shared_uninitialised});
}

TEST_CASE("a barrier that some threads do not reach is found", "[emulator]") {
  const std::string gemm = stored("gemm"), rmsnorm = stored("rmsnorm");
  for (const int limit : {16, 64, 100}) {  // half a warp, whole warps, some of both
    caught(
        str("gemm below ", limit),
        [&](const auto& options) {
          return run_gemm(replaced(gemm, kBarrier, barrier_below(limit) + kNoBarrier, 0), options, 64, 64,
                          64);
        },
        {FaultKind::divergent_barrier}, kDivergence);
    caught(
        str("rmsnorm below ", limit),
        [&](const auto& options) {
          return run_rmsnorm(replaced(rmsnorm, kBarrier, barrier_below(limit) + kNoBarrier, 1), options, 1,
                             256);
        },
        {FaultKind::divergent_barrier}, kDivergence);
  }
}

TEST_CASE("atomics on floating-point numbers are found", "[emulator]") {
  const std::string broken = replaced(stored("rmsnorm"), "st.global.f32", "red.global.add.f32");
  caught("rmsnorm", [&](const auto& options) { return run_rmsnorm(broken, options, 2, 64); },
         {FaultKind::float_atomic});
}

TEST_CASE("several threads of the host give the same faults and bytes", "[emulator]") {
  const std::string attention = stored("attention"), broken = replaced(attention, kBarrier, kNoBarrier, 3);
  const Outcome one = run_attention(attention, with_seed(3, 1), 2, 200),
                three = run_attention(attention, with_seed(3, 3), 2, 200);
  CHECK(one.bytes == three.bytes);
  CHECK(one.report.counters.thread_instructions == three.report.counters.thread_instructions);
  CHECK(one.report.counters.global_sectors == three.report.counters.global_sectors);
  const Outcome bad_one = run_attention(broken, with_seed(3, 1), 2, 200),
                bad_three = run_attention(broken, with_seed(3, 3), 2, 200);
  CHECK(bad_one.report.text() != "");
  CHECK(bad_one.report.text() == bad_three.report.text());
}

TEST_CASE("bank conflicts and scattered accesses are numbers", "[emulator]") {
  const auto product = run_gemm(stored("gemm"), with_seed(0), 64, 64, 64).report.counters;
  CHECK(product.mma == 4 * 4 * 8);
  CHECK(product.ldmatrix == 4 * 4 * 4);
  CHECK(product.global_sectors == product.global_sectors_ideal);
  const auto flash = run_attention(stored("attention"), with_seed(0), 1, 64).report.counters;
  CHECK(flash.shared_wavefronts == flash.shared_wavefronts_ideal);
  CHECK(flash.barriers == 4);
}

#ifdef GRISTMILL_PTX
TEST_CASE("kernels compiled for each architecture are right, without fault, and their faults are found",
          "[emulator]") {
  for (const std::string_view architecture : split(GRISTMILL_PTX_ARCHITECTURES, ' ')) {
    INFO("compute_" << architecture);
    const auto compiled = [&](const std::string& name) {
      return read_file(str(GRISTMILL_PTX, "/", name, ".", architecture, ".ptx"));
    };
    const std::string rmsnorm = compiled("rmsnorm"), gemm = compiled("gemm"),
                      attention = compiled("attention");
    for (const uint64_t seed : {0, 9}) {
      const Outcome norm = run_rmsnorm(rmsnorm, with_seed(seed), 2, 520),
                    product = run_gemm(gemm, with_seed(seed), 64, 64, 64);
      const Outcome flash = run_attention(attention, with_seed(seed), 1, 70);
      CHECK(norm.report.text() + product.report.text() + flash.report.text() == "");
      CHECK(norm.worst < 0.005);
      CHECK(product.worst < 1e-5);
      CHECK(flash.worst < 0.01);
    }
    for (size_t which = 0; which < count_of(attention, kBarrier); ++which) {
      const std::string broken = replaced(attention, kBarrier, kNoBarrier, static_cast<int>(which));
      CHECK(run_attention(broken, with_seed(9), 1, 130).report.text() != "");
    }
    for (size_t which = 0; which < count_of(gemm, kBarrier); ++which) {
      const std::string broken = replaced(gemm, kBarrier, kNoBarrier, static_cast<int>(which));
      CHECK(run_gemm(broken, with_seed(9), 64, 64, 128).report.text() != "");
    }
    CHECK(run_rmsnorm(replaced(rmsnorm, kBarrier, kNoBarrier, 1), with_seed(9), 1, 256).report.text() != "");
  }
}
#endif
