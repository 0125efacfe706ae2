#pragma once

// MPI between the processes of one run: Open MPI, loaded when a launcher started this process with others.

#include <memory>

#include "runtime/collective.hpp"

namespace gristmill::runtime {

/// Joins the ranks of the launcher. Error{device} when Open MPI's library is not there, or counts otherwise.
/// Ends with leave() or end_all().
std::unique_ptr<Collective> open_mpi_collective(const Launch& launch);

}  // namespace gristmill::runtime
