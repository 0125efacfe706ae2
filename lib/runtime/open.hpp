#pragma once

// Devices by name, also where several ranks share a machine.

#include <memory>
#include <optional>
#include <string>

#include "runtime/collective.hpp"
#include "runtime/device.hpp"
#include "runtime/launch.hpp"

namespace gristmill::runtime {

/// The number of the GPU for a rank that was told none: its number on this machine, of `count` GPUs, or the
/// one GPU that its launcher lets it see. Error{usage} where the machine has fewer GPUs than ranks.
int gpu_of_rank(const std::optional<Launch>& launch, int count, bool one_is_shown);

/// Ranks on GPUs that meet by options.rendezvous.
std::unique_ptr<Collective> open_rendezvous_collective(const std::optional<Launch>& launch,
                                                       const CollectiveOptions& options);

}  // namespace gristmill::runtime
