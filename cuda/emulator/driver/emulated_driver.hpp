#pragma once

// The CUDA driver's functions over emulated GPUs, and what only an emulator can tell.

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "cuda/driver/driver.hpp"
#include "emulator/fault.hpp"
#include "emulator/launch.hpp"

namespace gristmill::emulator {

struct GpuOptions {
  uint64_t seed = 0;    ///< of the order of warps and blocks, as LaunchOptions::seed
  int threads = 1;      ///< of the host; no result depends on it
  uint64_t memory = 0;  ///< bytes that can be allocated; 0: what the host has to spare
  // As GPUs of compute capability 8.0:
  int capability = 80;           ///< ten times the number
  int most_shared = 163 * 1024;  ///< bytes of a block
};

/// The table. Misuse and faults of kernels are thrown as Error{device}; its functions return 0 otherwise.
/// A GPU lives while its primary context is retained.
const runtime::cuda::Driver& emulated_driver();

/// A new GPU; returns its ordinal, which no other one had or will have.
int add_gpu(const GpuOptions& options);

struct KernelUse {
  uint64_t launches = 0;
  Counters counters;
};
/// What the kernels of all emulated GPUs of this process did since the start or the last clearing, by name.
std::map<std::string, KernelUse> kernel_use();
void clear_kernel_use();

/// Is told of every launch of every emulated GPU of this process, just before it runs. It may try out other
/// launches on the memory if it leaves it as it was. Set it while nothing runs; an empty one ends it.
using LaunchObserver =
    std::function<void(Memory& memory, const Kernel& kernel, const Launch& launch, const LaunchOptions&)>;
void set_launch_observer(LaunchObserver observer);

}  // namespace gristmill::emulator
