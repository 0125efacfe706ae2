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

}  // namespace gristmill::runtime::cpu
