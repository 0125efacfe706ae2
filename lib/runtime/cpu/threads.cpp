#include <time.h>

#include <algorithm>
#include <memory>
#include <new>

#include "runtime/cpu/backend.hpp"

namespace gristmill::runtime::cpu {

namespace {

struct AlignedFree {
  void operator()(float* memory) const { ::operator delete[](memory, std::align_val_t{64}); }
};

struct ScratchMemory {
  std::unique_ptr<float[], AlignedFree> memory;
  int64_t floats = 0;
};

constexpr double kWakeUp = 20000;  // nanoseconds that a loop over threads must be worth

double thread_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

float* thread_scratch(int64_t floats) {
  thread_local ScratchMemory mine;
  if (mine.floats < floats) {
    mine.memory.reset();
    mine.memory.reset(new (std::align_val_t{64}) float[static_cast<size_t>(floats)]);
    mine.floats = floats;
  }
  return mine.memory.get();
}

CpuBackend::CpuBackend(int threads, DType compute)
    : kernels_(choose_kernels()),
      types_(DType::f32, compute),
      products_(compute == DType::bf16 ? kernels_.mixed : kernels_.exact),
      attention_(compute == DType::bf16 ? kernels_.mixed_attention : kernels_.exact_attention),
      pool_(threads) {}

/// One thread's rate by its own processor time, the best of a few runs (slower ones were disturbed), times
/// the number of threads.
double CpuBackend::peak_flops() {
  if (peak_flops_ > 0) return peak_flops_;
  constexpr double kSeconds = 0.004;
  constexpr int kRuns = 5;
  float sink = 0;
  int64_t rounds = 1000;
  for (int run = 0; peak_flops_ == 0 || run < kRuns;) {
    const double begin = thread_seconds();
    const double done = products_.multiply_adds(rounds, &sink);
    const double seconds = thread_seconds() - begin;
    if (seconds < kSeconds) {
      rounds *= 2;
    } else {
      peak_flops_ = std::max(peak_flops_, done / seconds * pool_.threads());
      ++run;
    }
  }
  return peak_flops_;
}

void CpuBackend::each_block(int64_t size, int64_t block, double cost,
                            const std::function<void(int64_t, int64_t)>& body) {
  if (size <= 0) return;
  const int64_t blocks = (size + block - 1) / block;
  const auto run_block = [&](size_t i) {
    const int64_t first = static_cast<int64_t>(i) * block;
    body(first, std::min(block, size - first));
  };
  if (pool_.threads() == 1 || static_cast<double>(size) * cost < kWakeUp) {
    for (int64_t i = 0; i < blocks; ++i) run_block(static_cast<size_t>(i));
    return;
  }
  pool_.run(static_cast<size_t>(blocks), run_block);
}

void CpuBackend::each_row(int64_t rows, double cost, const std::function<void(int64_t)>& body) {
  const auto block = std::max<int64_t>(1, static_cast<int64_t>(kWakeUp / 2 / std::max(cost, 1.0)));
  each_block(rows, block, cost, [&](int64_t first, int64_t count) {
    for (int64_t r = first; r < first + count; ++r) body(r);
  });
}

void CpuBackend::each_run(int64_t rows, int64_t cols, double cost,
                          const std::function<void(int64_t, int64_t, int64_t)>& body) {
  constexpr int64_t kRun = 16384;
  const int64_t across = (cols + kRun - 1) / kRun;
  each_block(rows * across, 1, cost * static_cast<double>(std::min(cols, kRun)), [&](int64_t i, int64_t) {
    const int64_t first = i % across * kRun;
    body(i / across, first, std::min(kRun, cols - first));
  });
}

}  // namespace gristmill::runtime::cpu
