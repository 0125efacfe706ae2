#pragma once

#include <memory>

#include "runtime/device.hpp"

namespace gristmill::runtime::cpu {

/// The CPU as a device, computing in f32 on `threads` threads (at least 1).
std::unique_ptr<Device> open_cpu(int threads);

}  // namespace gristmill::runtime::cpu
