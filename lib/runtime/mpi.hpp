#pragma once

// MPI between the processes of one run: Open MPI, loaded when a launcher started this process with others.

#include <cstdint>
#include <memory>

#include "runtime/collective.hpp"

namespace gristmill::runtime {

/// Joins the ranks of the launcher, which says that there are `launched` (0 = it does not say). Error{device}
/// when Open MPI's library is not there, or counts otherwise. Ends with leave() or end_all().
std::unique_ptr<Collective> open_mpi_collective(int64_t launched);

}  // namespace gristmill::runtime
