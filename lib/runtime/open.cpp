#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/str.hpp"
#include "runtime/cpu/device.hpp"
#include "runtime/cuda.hpp"
#include "runtime/device.hpp"

namespace gristmill::runtime {

namespace {

constexpr std::string_view kCuda = "cuda";

/// N of "cuda:N", 0 of "cuda"; nothing for another name.
std::optional<int> cuda_ordinal(std::string_view name) {
  if (name == kCuda) return 0;
  if (!name.starts_with("cuda:")) return std::nullopt;
  const auto number = parse_uint(name.substr(kCuda.size() + 1));
  if (!number || *number > std::numeric_limits<int>::max()) return std::nullopt;
  return static_cast<int>(*number);
}

}  // namespace

std::unique_ptr<Device> open_device(const std::string& name, int threads, DType compute) {
  if (compute != DType::f32 && compute != DType::bf16) fail(Kind::internal, "devices compute in f32 or bf16");
  if (name == "cpu") return cpu::open_cpu(threads, compute);
  if (name == "auto") {
    return cuda_device_exists() ? open_cuda_device(0, compute) : cpu::open_cpu(threads, compute);
  }
  if (name == "emu") return open_emulated_device(threads, compute);
  if (const auto ordinal = cuda_ordinal(name)) return open_cuda_device(*ordinal, compute);
  fail(Kind::usage, "unknown device '", name, "': expected auto, cpu, cuda[:N] or emu");
}

}  // namespace gristmill::runtime
