#pragma once

// NCCL's functions between emulated GPUs, of one process or of several on one machine.

#include <chrono>

#include "cuda/nccl/nccl.hpp"

namespace gristmill::emulator {

/// The table. Misuse, a rank that is gone and ranks that call different things are thrown as Error{device},
/// most of them by whoever waits for the stream; its functions return 0 otherwise.
const runtime::cuda::Nccl& emulated_nccl();

/// How long a rank waits for the others to join; two minutes unless told.
void set_joining_limit(std::chrono::milliseconds limit);

}  // namespace gristmill::emulator
