#include <string>

#include "base/error.hpp"
#include "runtime/cpu/device.hpp"
#include "runtime/device.hpp"

namespace gristmill::runtime {

namespace {

bool names_cuda(const std::string& name) {
  return name == "cuda" || name.starts_with("cuda:") || name == "emu";
}

}  // namespace

std::unique_ptr<Device> open_device(const std::string& name, int threads, DType compute) {
  if (compute != DType::f32 && compute != DType::bf16) fail(Kind::internal, "devices compute in f32 or bf16");
  if (name == "cpu" || name == "auto") return cpu::open_cpu(threads, compute);
  if (names_cuda(name)) {
    fail(Kind::device, "device ", name, ": this build has no CUDA backend; use --device cpu");
  }
  fail(Kind::usage, "unknown device '", name, "': expected auto, cpu or cuda[:N]");
}

}  // namespace gristmill::runtime
