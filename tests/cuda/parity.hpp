#pragma once

// The contract of lib/runtime/backend.hpp on a GPU, emulated unless asked otherwise: the scenarios of
// tests/runtime against the reference in double precision, within the same tolerances. A fault of a kernel is
// an Error that fails the test.

#include <memory>
#include <string>
#include <vector>

#include "cuda/device.hpp"
#include "runtime/device.hpp"
#include "scenarios.hpp"

namespace gristmill::runtime::test {

/// The emulated GPU, or what the environment variable GRISTMILL_PARITY_DEVICE names: with "cuda" the cases
/// run on hardware (scripts/gpu-check), those with the tag [emulator] left out, each in a process of its own,
/// since a kernel that stops takes the process's GPU with it.
std::unique_ptr<Device> open_parity_device(int threads, DType compute = DType::f32);

/// The same with cuBLASLt for products that are large by `large`, or without it.
std::unique_ptr<Device> open_with_library(DType compute, const cuda::LibraryOptions& large,
                                          bool library = true);
/// Whether that is the emulated GPU.
bool is_emulated();

/// Runs scenarios in f32, dense and in wider matrices.
void check_exact(const std::vector<Scenario>& scenarios);
/// Runs scenarios in bf16: all views of the compute type, and some of the real type in wider matrices.
void check_mixed(const std::vector<Scenario>& scenarios);
/// The same on a device that is open.
void check_exact(const std::vector<Scenario>& scenarios, Device& device);
void check_mixed(const std::vector<Scenario>& scenarios, Device& device);

/// Those scenarios that are of one of these methods.
std::vector<Scenario> only(const std::vector<Scenario>& scenarios, const std::vector<std::string>& methods);

}  // namespace gristmill::runtime::test
