#include "runtime/open.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/environment.hpp"
#include "base/error.hpp"
#include "base/str.hpp"
#include "runtime/cpu/device.hpp"
#include "runtime/cuda.hpp"

namespace gristmill::runtime {

namespace {

constexpr std::string_view kCuda = "cuda";

/// The GPU of this rank, where it was told none.
int own_gpu() {
  const auto shown = environment_variable("CUDA_VISIBLE_DEVICES");
  return gpu_of_rank(find_launch(), cuda_device_count(), shown.has_value());
}

/// N of "cuda:N", this rank's of "cuda"; nothing for another name.
std::optional<int> cuda_ordinal(std::string_view name) {
  if (name == kCuda) return own_gpu();
  if (!name.starts_with("cuda:")) return std::nullopt;
  const auto number = parse_uint(name.substr(kCuda.size() + 1));
  if (!number || *number > std::numeric_limits<int>::max()) return std::nullopt;
  return static_cast<int>(*number);
}

}  // namespace

int gpu_of_rank(const std::optional<Launch>& launch, int count, bool one_is_shown) {
  if (!launch || launch->ranks == 1) return 0;
  if (!launch->local_rank) {
    fail(Kind::usage, launch->by, "=", launch->ranks,
         " ranks, and nothing says which of this machine's this is; name its GPU with --device cuda:N");
  }
  if (count == 0 || (count == 1 && one_is_shown)) return 0;  // without GPUs: whoever opens one says so
  if (*launch->local_rank < count) return static_cast<int>(*launch->local_rank);
  fail(Kind::usage, "this is rank ", *launch->local_rank, " of this machine, counted from 0, and there ",
       count == 1 ? "is one GPU" : str("are ", count, " GPUs"),
       ": start one rank a GPU, or name it with --device cuda:N");
}

std::unique_ptr<Collective> open_rendezvous_collective(const std::optional<Launch>& launch,
                                                       const CollectiveOptions& options) {
  if (!launch) {
    fail(Kind::usage,
         "--rendezvous: no launcher says which rank of how many this is; start with torchrun or srun, or set "
         "RANK, WORLD_SIZE and LOCAL_RANK");
  }
  if (launch->ranks == 1) return open_local_collective();
  Meeting meeting{options.rendezvous, launch->run, static_cast<int>(launch->own_rank()),
                  static_cast<int>(launch->ranks), options.rendezvous_seconds};
  const std::string name = options.device == "auto" && cuda_device_count() > 0 ? "cuda" : options.device;
  const auto ordinal = cuda_ordinal(name);
  if (!ordinal && name != "emu") {
    fail(Kind::usage, "--rendezvous is for ranks on GPUs, not on --device ", options.device,
         "; ranks on CPUs start with Open MPI's mpirun, or srun --mpi=pmix");
  }
  return open_gpu_collective(ordinal, meeting);
}

std::unique_ptr<Device> open_device(const std::string& name, int threads, DType compute) {
  if (compute != DType::f32 && compute != DType::bf16) fail(Kind::internal, "devices compute in f32 or bf16");
  if (name == "cpu") return cpu::open_cpu(threads, compute);
  if (name == "auto") {
    return cuda_device_count() > 0 ? open_cuda_device(own_gpu(), compute) : cpu::open_cpu(threads, compute);
  }
  if (name == "emu") return open_emulated_device(threads, compute);
  if (const auto ordinal = cuda_ordinal(name)) return open_cuda_device(*ordinal, compute);
  fail(Kind::usage, "unknown device '", name, "': expected auto, cpu, cuda[:N] or emu");
}

bool same_hardware(const std::string& name, const std::string& other) {
  const auto without_number = [](const std::string& text) {
    return text.starts_with("cuda:") ? text.substr(std::min(text.find(' '), text.size())) : text;
  };
  return without_number(name) == without_number(other);
}

}  // namespace gristmill::runtime
