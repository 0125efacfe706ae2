#pragma once

// The real kernels of tests/emulator/kernels with their inputs and their answers in double precision.

#include "device.hpp"

namespace gristmill::test {

struct Outcome {
  Report report;
  double seconds = 0;            ///< of the processor
  double worst = 0;              ///< largest error relative to the value, or a small one
  std::vector<std::byte> bytes;  ///< of the results
};

/// What is wrong with a launch on purpose.
struct Damage {
  int64_t shorter = 0;  ///< bytes that the output lacks
  int64_t shifted = 0;  ///< bytes by which the first input is moved
};

Outcome run_rmsnorm(const std::string& ptx, const emulator::LaunchOptions& options, int rows, int cols,
                    Damage damage = {});
Outcome run_gemm(const std::string& ptx, const emulator::LaunchOptions& options, int m, int n, int k,
                 Damage damage = {});
Outcome run_attention(const std::string& ptx, const emulator::LaunchOptions& options, int heads, int tokens,
                      Damage damage = {});

}  // namespace gristmill::test
