#pragma once

#include <memory>

#include "runtime/device.hpp"

namespace gristmill::runtime::cpu {

/// The CPU as a device on `threads` threads (at least 1); `compute` is f32 or bf16.
std::unique_ptr<Device> open_cpu(int threads, DType compute);

}  // namespace gristmill::runtime::cpu
