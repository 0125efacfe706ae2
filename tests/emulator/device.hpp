#pragma once

// An emulated GPU with one module, for tests: uploads, launches, downloads.

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/file.hpp"
#include "base/rng.hpp"
#include "base/str.hpp"
#include "emulator/launch.hpp"
#include "emulator/memory.hpp"
#include "emulator/module.hpp"
#include "emulator/numeric.hpp"
#include "support/catch.hpp"

namespace gristmill::test {

using emulator::Dim3;
using emulator::FaultKind;
using emulator::Report;

class Device {
 public:
  explicit Device(std::string_view ptx)
      : module(std::make_unique<emulator::Module>(memory, ptx, "test.ptx")) {}

  template <class T>
  uint64_t upload(const std::vector<T>& values) {
    const uint64_t address = memory.allocate(values.size() * sizeof(T));
    memory.write(address, values.data(), values.size() * sizeof(T));
    return address;
  }
  template <class T>
  std::vector<T> download(uint64_t address, size_t count) const {
    std::vector<T> values(count);
    memory.read(address, values.data(), count * sizeof(T));
    return values;
  }
  /// The arguments have the types of the kernel's parameters.
  template <class... Args>
  Report run(const std::string& name, Dim3 grid, Dim3 block, const Args&... args) {
    const void* values[] = {&args..., nullptr};
    const emulator::Kernel& kernel = module->kernel(name);
    REQUIRE(kernel.parameters.size() == sizeof...(args));
    const emulator::Launch launch = {grid, block, dynamic_shared, dynamic_limit,
                                     emulator::pack_parameters(kernel, values)};
    const std::clock_t begin = std::clock();
    Report report = emulator::launch(memory, kernel, launch, options);
    seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    return report;
  }

  emulator::Memory memory;
  std::unique_ptr<emulator::Module> module;
  emulator::LaunchOptions options;
  double seconds = 0;  ///< of the processor, for the last launch
  uint32_t dynamic_shared = 0, dynamic_limit = 0;
};

inline bool has(const Report& report, FaultKind kind) {
  return std::any_of(report.faults.begin(), report.faults.end(),
                     [&](const auto& fault) { return fault.kind == kind; });
}

/// Normal numbers as bf16.
inline std::vector<uint16_t> random_bf16(size_t count, uint64_t stream) {
  Rng rng(1, stream_of(RandomStream::test, stream));
  std::vector<uint16_t> values(count);
  for (uint16_t& value : values) value = emulator::f32_to_bf16(static_cast<float>(rng.normal()));
  return values;
}

inline double number(uint16_t bf16) { return emulator::bf16_to_f32(bf16); }

/// `text` with the occurrence `which` (from 0) of `from` replaced; all of them for -1. Fails if there is
/// none.
inline std::string replaced(std::string text, const std::string& from, const std::string& to, int which = 0) {
  size_t at = 0;
  int seen = 0, done = 0;
  while ((at = text.find(from, at)) != std::string::npos) {
    if (which < 0 || seen == which) {
      text.replace(at, from.size(), to);
      at += to.size();
      ++done;
    } else {
      at += from.size();
    }
    ++seen;
  }
  REQUIRE(done > 0);
  return text;
}

inline size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

}  // namespace gristmill::test
