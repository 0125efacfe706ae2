// How fast the emulated GPU is, in the processor's time: test_emulator "[.speed]". It proves nothing.
#include <cstdio>

#include "kernels.hpp"

using namespace gristmill;
using namespace gristmill::test;

TEST_CASE("speed of the emulated GPU", "[.speed]") {
  const auto stored = [](const std::string& name) {
    return read_file(std::string(GRISTMILL_TESTDATA) + "/emulator/" + name + ".ptx");
  };
  const auto show = [](const char* name, const Outcome& outcome) {
    const auto& counters = outcome.report.counters;
    const auto millions = static_cast<double>(counters.thread_instructions) * 1e-6;
    std::printf("%-10s %6.1f million instructions of threads, %6.1f million a second, %llu matrix products\n",
                name, millions, millions / outcome.seconds, static_cast<unsigned long long>(counters.mma));
    CHECK(outcome.report.text() == "");
  };
  emulator::LaunchOptions options;
  options.seed = 1;
  show("rmsnorm", run_rmsnorm(stored("rmsnorm"), options, 512, 4096));
  show("gemm", run_gemm(stored("gemm"), options, 256, 256, 512));
  show("attention", run_attention(stored("attention"), options, 4, 512));
}
