#include "runtime/launch.hpp"

#include "base/environment.hpp"
#include "base/error.hpp"
#include "base/str.hpp"

namespace gristmill::runtime {

namespace {

/// The variables of one launcher.
struct Launcher {
  const char *size, *rank, *local_rank;
  const char* run[4];  ///< together they tell a run from all others
  bool needs_rank;     ///< the size alone means nothing: other programs use its name too
};

// Slurm sets variables for plain tasks too, such as a batch script's, and SLURM_NTASKS there: who starts
// several processes says how many, and only a step of srun's has SLURM_STEP_NUM_TASKS.
constexpr Launcher kLaunchers[] = {
    {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", {"PMIX_NAMESPACE"}, false},
    {"WORLD_SIZE",
     "RANK",
     "LOCAL_RANK",
     {"TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "MASTER_ADDR", "MASTER_PORT"},
     true},
    {"PMI_SIZE", "PMI_RANK", "MPI_LOCALRANKID", {}, false},
    {"SLURM_STEP_NUM_TASKS",
     "SLURM_PROCID",
     "SLURM_LOCALID",
     {"SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT"},
     false},
};

std::optional<int64_t> number_of(const char* name, int64_t least) {
  const auto text = environment_variable(name);
  if (!text) return std::nullopt;
  const auto number = parse_int(*text);
  if (!number || *number < least)
    fail(Kind::usage, name, "=", in_quotes(*text), ": expected a number of ", least, " or more");
  return number;
}

std::string run_of(const Launcher& launcher) {
  std::string run;
  for (const char* name : launcher.run) {
    const auto value = name == nullptr ? std::nullopt : environment_variable(name);
    if (value) run += str(run.empty() ? "" : " ", name, "=", *value);
  }
  return run;
}

std::optional<Launch> launch_by(const Launcher& launcher) {
  if (launcher.needs_rank && !environment_variable(launcher.rank)) return std::nullopt;
  const auto ranks = number_of(launcher.size, 1);
  if (!ranks) return std::nullopt;
  Launch launch;
  launch.by = launcher.size;
  launch.ranks = *ranks;
  launch.rank = number_of(launcher.rank, 0);
  launch.local_rank = number_of(launcher.local_rank, 0);
  launch.run = run_of(launcher);
  if (launch.rank.value_or(0) >= launch.ranks)
    fail(Kind::usage, launcher.rank, "=", *launch.rank, " is not below ", launcher.size, "=", launch.ranks);
  if (launch.local_rank.value_or(0) >= launch.ranks)
    fail(Kind::usage, launcher.local_rank, "=", *launch.local_rank, " is not below ", launcher.size, "=",
         launch.ranks);
  return launch;
}

}  // namespace

int64_t Launch::own_rank() const {
  if (!rank) fail(Kind::usage, by, "=", ranks, " says how many ranks there are, but not which this one is");
  return *rank;
}

std::optional<Launch> find_launch() {
  const bool pmix = environment_variable("PMIX_RANK").has_value();
  for (const Launcher& launcher : kLaunchers) {
    if (auto launch = launch_by(launcher)) {
      launch->joins_mpi = pmix;
      return launch;
    }
  }
  if (!pmix && !environment_variable("PMI_RANK")) return std::nullopt;
  Launch launch;
  launch.by = pmix ? "PMIX_RANK" : "PMI_RANK";
  launch.joins_mpi = pmix;
  return launch;
}

std::optional<int64_t> launched_ranks() {
  const auto launch = find_launch();
  return launch ? std::optional(launch->ranks) : std::nullopt;
}

}  // namespace gristmill::runtime
