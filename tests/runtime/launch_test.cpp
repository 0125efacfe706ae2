#include "runtime/launch.hpp"

#include <cstdlib>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "runtime/collective.hpp"
#include "runtime/open.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::runtime;

namespace {

/// An environment of these launcher's variables alone.
class Environment {
 public:
  Environment(std::initializer_list<std::pair<const char*, const char*>> variables) {
    for (const char* name : {"OMPI_COMM_WORLD_SIZE",
                             "OMPI_COMM_WORLD_RANK",
                             "OMPI_COMM_WORLD_LOCAL_RANK",
                             "PMIX_NAMESPACE",
                             "WORLD_SIZE",
                             "RANK",
                             "LOCAL_RANK",
                             "TORCHELASTIC_RUN_ID",
                             "TORCHELASTIC_RESTART_COUNT",
                             "MASTER_ADDR",
                             "MASTER_PORT",
                             "PMI_SIZE",
                             "PMI_RANK",
                             "PMIX_RANK",
                             "MPI_LOCALRANKID",
                             "SLURM_STEP_NUM_TASKS",
                             "SLURM_PROCID",
                             "SLURM_LOCALID",
                             "SLURM_JOB_ID",
                             "SLURM_STEP_ID",
                             "SLURM_RESTART_COUNT"})
      ::unsetenv(name);
    for (const auto& [name, value] : variables) {
      ::setenv(name, value, 1);
      names_.push_back(name);
    }
  }
  ~Environment() {
    for (const char* name : names_) ::unsetenv(name);
  }

 private:
  std::vector<const char*> names_;
};

void check_refused(const std::string& part) {
  try {
    find_launch();
  } catch (const Error& error) {
    CHECK(error.kind() == Kind::usage);
    CHECK(std::string(error.what()).find(part) != std::string::npos);
    return;
  }
  FAIL("not refused");
}

}  // namespace

TEST_CASE("the variables of mpirun come before torchrun's, and those before Slurm's", "[runtime]") {
  {
    const Environment all = {{"OMPI_COMM_WORLD_SIZE", "4"},
                             {"OMPI_COMM_WORLD_RANK", "3"},
                             {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                             {"WORLD_SIZE", "8"},
                             {"RANK", "0"},
                             {"SLURM_STEP_NUM_TASKS", "2"},
                             {"PMIX_RANK", "3"}};
    const auto launch = find_launch();
    REQUIRE(launch);
    CHECK(launch->ranks == 4);
    CHECK(launch->own_rank() == 3);
    CHECK(launch->local_rank == int64_t{1});
    CHECK(launch->joins_mpi);
  }
  {
    const Environment torchrun = {{"WORLD_SIZE", "8"},           {"RANK", "5"},
                                  {"LOCAL_RANK", "1"},           {"TORCHELASTIC_RUN_ID", "abc"},
                                  {"SLURM_STEP_NUM_TASKS", "2"}, {"SLURM_PROCID", "1"}};
    const auto launch = find_launch();
    REQUIRE(launch);
    CHECK(launch->ranks == 8);
    CHECK(launch->own_rank() == 5);
    CHECK(launch->run == "TORCHELASTIC_RUN_ID=abc");
    CHECK_FALSE(launch->joins_mpi);
  }
  const Environment slurm = {{"SLURM_STEP_NUM_TASKS", "2"},
                             {"SLURM_PROCID", "1"},
                             {"SLURM_LOCALID", "0"},
                             {"SLURM_JOB_ID", "77"},
                             {"SLURM_STEP_ID", "3"}};
  const auto launch = find_launch();
  REQUIRE(launch);
  CHECK(launch->own_rank() == 1);
  CHECK(launch->local_rank == int64_t{0});
  CHECK(launch->run == "SLURM_JOB_ID=77 SLURM_STEP_ID=3");
}

TEST_CASE("a name that others use too means nothing alone", "[runtime]") {
  {
    const Environment alone = {{"WORLD_SIZE", "8"}};
    CHECK_FALSE(find_launch().has_value());
  }
  const Environment batch_script = {{"SLURM_PROCID", "0"}, {"SLURM_LOCALID", "0"}, {"SLURM_JOB_ID", "7"}};
  CHECK_FALSE(find_launch().has_value());
}

TEST_CASE("numbers of a launcher that do not fit together are refused", "[runtime]") {
  {
    const Environment e = {{"WORLD_SIZE", "2"}, {"RANK", "2"}};
    check_refused("RANK=2 is not below WORLD_SIZE=2");
  }
  {
    const Environment e = {{"WORLD_SIZE", "two"}, {"RANK", "1"}};
    check_refused("WORLD_SIZE");
  }
  {
    const Environment e = {{"WORLD_SIZE", "2"}, {"RANK", "-1"}};
    check_refused("RANK");
  }
  {
    const Environment e = {
        {"OMPI_COMM_WORLD_SIZE", "2"}, {"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "4"}};
    check_refused("OMPI_COMM_WORLD_LOCAL_RANK=4 is not below");
  }
  const Environment e = {{"SLURM_STEP_NUM_TASKS", "2"}};
  REQUIRE(find_launch());
  CHECK_THROWS_WITH(find_launch()->own_rank(), gristmill::test::contains("not which this one is"));
}

TEST_CASE("each rank of a machine has a GPU of its own", "[runtime]") {
  Launch launch;
  launch.by = "WORLD_SIZE";
  launch.ranks = 8;
  launch.local_rank = 3;
  CHECK(gpu_of_rank(std::nullopt, 4, false) == 0);
  CHECK(gpu_of_rank(launch, 4, false) == 3);
  CHECK(gpu_of_rank(launch, 1, true) == 0);  // Slurm shows each task its own one
  CHECK_THROWS_WITH(gpu_of_rank(launch, 1, false), gristmill::test::contains("there is one GPU"));
  CHECK_THROWS_WITH(gpu_of_rank(launch, 3, true), gristmill::test::contains("there are 3 GPUs"));
  launch.local_rank.reset();
  CHECK_THROWS_WITH(gpu_of_rank(launch, 4, false), gristmill::test::contains("--device cuda:N"));
  launch.ranks = 1;
  CHECK(gpu_of_rank(launch, 4, false) == 0);
}

TEST_CASE("GPUs of one kind are the same hardware whatever their numbers", "[runtime]") {
  CHECK(same_hardware("cuda:0 (NVIDIA H100)", "cuda:11 (NVIDIA H100)"));
  CHECK_FALSE(same_hardware("cuda:0 (NVIDIA H100)", "cuda:0 (NVIDIA A100)"));
  CHECK_FALSE(same_hardware("cpu (avx2)", "cpu (avx512)"));
}

TEST_CASE("a rendezvous needs a launcher's variables, GPUs, and nothing for a single rank", "[runtime]") {
  {
    const Environment none = {};
    CHECK_THROWS_WITH(open_collective({"emu", "somewhere", 1}), gristmill::test::contains("torchrun"));
  }
  {
    const Environment one = {{"WORLD_SIZE", "1"}, {"RANK", "0"}};
    CHECK(open_collective({"emu", "somewhere", 1})->name() == "local");
  }
  const Environment two = {{"WORLD_SIZE", "2"}, {"RANK", "0"}, {"LOCAL_RANK", "0"}};
  CHECK_THROWS_WITH(open_collective({"cpu", "somewhere", 1}), gristmill::test::contains("ranks on GPUs"));
  CHECK_THROWS_WITH(open_collective({"cpu", "", 1}), gristmill::test::contains("--rendezvous"));
}
