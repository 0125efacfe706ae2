#pragma once

// What a checked launch found, and what it counted.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::emulator {

enum class FaultKind : uint8_t {
  global_out_of_bounds,
  global_misaligned,
  global_uninitialised,
  global_read_only,
  global_race,
  global_warp_race,
  shared_out_of_bounds,
  shared_misaligned,
  shared_uninitialised,
  shared_read_after_write,
  shared_write_after_read,
  shared_write_after_write,
  copy_in_flight,
  copy_not_awaited,
  local_out_of_bounds,
  local_misaligned,
  parameter_out_of_bounds,
  divergent_barrier,
  divergent_warp,
  absent_lane,
  partial_barrier,
  float_atomic,
  division_by_zero,
  bad_operand,
  trap,
  no_progress,
};

/// What a fault of this kind means, in a few words.
std::string_view to_string(FaultKind kind);

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
  uint64_t count() const { return uint64_t{x} * y * z; }
};

/// One kind of fault at one instruction: where it was seen first, and how often.
struct Fault {
  FaultKind kind = FaultKind::trap;
  std::string kernel, instruction;  ///< instruction: the statement's text
  uint32_t line = 0;                ///< of the PTX text
  Dim3 block, thread;
  uint64_t address = 0;  ///< of the access; 0 where there is none
  std::string detail;    ///< more about the address
  uint64_t count = 0;
};

/// One line: "gemm: line 120, ld.shared.f32 …: …".
std::string to_string(const Fault& fault);

/// Sums over all threads of a launch. "Ideal" is what the same accesses would need if they were dense.
struct Counters {
  uint64_t warp_instructions = 0, thread_instructions = 0;
  uint64_t global_accesses = 0, global_sectors = 0, global_sectors_ideal = 0;  ///< sectors of 32 bytes
  uint64_t shared_accesses = 0, shared_wavefronts = 0,
           shared_wavefronts_ideal = 0;  ///< passes over the 32 banks
  uint64_t mma = 0, ldmatrix = 0, async_copies = 0, barriers = 0, shuffles = 0, atomics = 0,
           divergent_branches = 0;

  void add(const Counters& other);
};

struct Report {
  std::vector<Fault> faults;    ///< in the order of the blocks' start
  uint64_t omitted_faults = 0;  ///< kinds of faults beyond the limit
  Counters counters;

  /// All faults, a line each; empty if there are none.
  std::string text() const;
};

}  // namespace gristmill::emulator
