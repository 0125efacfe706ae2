#include "emulator/fault.hpp"

#include <array>
#include <cstddef>
#include <utility>

#include "base/str.hpp"

namespace gristmill::emulator {
namespace {

constexpr std::array<std::string_view, 26> kTexts = {
    "global memory: outside every allocation",
    "global memory: misaligned",
    "global memory: read before anything was written",
    "global memory: written although it is read-only",
    "global memory: race with another block of the same launch",
    "global memory: race with another warp of the block, without a barrier between",
    "shared memory: outside the block's memory",
    "shared memory: misaligned",
    "shared memory: read before anything was written",
    "shared memory: read after write without a barrier between",
    "shared memory: write after read without a barrier between",
    "shared memory: write after write without a barrier between",
    "shared memory: touched while an asynchronous copy is under way",
    "a thread ends with an asynchronous copy that it never waited for",
    "local memory: outside the thread's memory",
    "local memory: misaligned",
    "parameters: outside the kernel's parameters",
    "barrier that some threads of the block do not reach",
    "a lane that the member mask names does not come here",
    "value of a lane that does not take part",
    "barrier for a part of the block: not supported",
    "atomic on floating-point numbers: its result depends on the order",
    "division by zero",
    "an operand has no meaning",
    "trap",
    "no progress: the limit of instructions for a block is reached",
};

}  // namespace

std::string_view to_string(FaultKind kind) { return kTexts[static_cast<size_t>(kind)]; }

std::string to_string(const Fault& fault) {
  const auto& [block, thread] = std::pair(fault.block, fault.thread);
  std::string text = str(fault.kernel, ": line ", fault.line, ", \"", fault.instruction,
                         "\": ", to_string(fault.kind), "; block ", block.x, ",", block.y, ",", block.z,
                         " thread ", thread.x, ",", thread.y, ",", thread.z);
  if (!fault.detail.empty()) text += "; " + fault.detail;
  if (fault.count > 1) text += str("; ", fault.count, " times");
  return text;
}

void Counters::add(const Counters& other) {
  warp_instructions += other.warp_instructions;
  thread_instructions += other.thread_instructions;
  global_accesses += other.global_accesses;
  global_sectors += other.global_sectors;
  global_sectors_ideal += other.global_sectors_ideal;
  shared_accesses += other.shared_accesses;
  shared_wavefronts += other.shared_wavefronts;
  shared_wavefronts_ideal += other.shared_wavefronts_ideal;
  mma += other.mma;
  ldmatrix += other.ldmatrix;
  async_copies += other.async_copies;
  barriers += other.barriers;
  shuffles += other.shuffles;
  atomics += other.atomics;
  divergent_branches += other.divergent_branches;
}

std::string Report::text() const {
  std::string out;
  for (const Fault& fault : faults) out += to_string(fault) + "\n";
  if (omitted_faults > 0)
    out += str("and ", omitted_faults, " faults of other kinds or at other instructions\n");
  return out;
}

}  // namespace gristmill::emulator
