#pragma once

// Arenas over the ranks by NCCL, from GPU to GPU, on a stream of its own beside the device's: a bucket of
// gradients travels while the backward pass computes the next one.
//
// The order of a sum that NCCL makes (a ring's, a tree's) is its own and depends on the number of ranks.
// Where the order of ranks is wanted the parts travel as they are, with grouped sends and receives, and are
// added here one after another: of N ranks each receives N - 1 times what it owns, instead of the sum once.

#include <cstdint>
#include <memory>

#include "cuda/gpu.hpp"
#include "cuda/nccl/nccl.hpp"
#include "runtime/arena_exchange.hpp"

namespace gristmill::runtime::cuda {

/// Bytes of the GPU's memory for parts on their way, from the first sum on.
constexpr int64_t kExchangeBytes = int64_t{32} << 20;

/// All ranks call it together, each with a GPU of its own; `device` is that GPU's. All must outlive it.
std::unique_ptr<ArenaExchange> open_nccl_exchange(const Nccl& nccl, Gpu& gpu, Device& device,
                                                  Collective& ranks, int64_t staging_bytes = kExchangeBytes);

}  // namespace gristmill::runtime::cuda
