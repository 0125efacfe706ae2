#pragma once

// Which rank of how many this process is, by the environment that its launcher made.

#include <cstdint>
#include <optional>
#include <string>

namespace gristmill::runtime {

struct Launch {
  std::string by;     ///< the variable that says so, for messages
  int64_t ranks = 0;  ///< 0: only the launcher knows
  std::optional<int64_t> rank;
  std::optional<int64_t> local_rank;  ///< among those of this machine
  std::string run;  ///< what the ranks of this run have in common and no other run has; empty if not known
  bool joins_mpi = false;  ///< the launcher offers PMIx, by which Open MPI finds the ranks

  /// As the usual launchers count: from 0 to below the number of ranks. Error{usage} where it is not said.
  int64_t own_rank() const;
};

/// The launcher of this process: Open MPI's mpirun (OMPI_COMM_WORLD_SIZE, _RANK, _LOCAL_RANK), torchrun
/// (WORLD_SIZE, RANK, LOCAL_RANK), other starters of MPI (PMI_SIZE, PMI_RANK), or Slurm's srun
/// (SLURM_STEP_NUM_TASKS, SLURM_PROCID, SLURM_LOCALID), the first of them that is there; nothing when none
/// is. Error{usage} for numbers that do not fit together.
std::optional<Launch> find_launch();

/// How many ranks the launcher of this process started, from its environment: nothing when none did, 0 when
/// only the launcher knows.
std::optional<int64_t> launched_ranks();

}  // namespace gristmill::runtime
