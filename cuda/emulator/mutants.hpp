#pragma once

// Damaged variants of a kernel, each without one of the things that keep it right: a barrier, a wait for
// copies, a check of bounds. Whoever tests a kernel runs all of them: one that shows no fault and gives the
// right bytes says that the barrier is not needed, or that the shapes of the test do not need it.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::emulator {

enum class MutantKind : uint8_t {
  barrier,    ///< bar.sync, barrier.sync or bar.warp.sync left out
  wait,       ///< cp.async.wait_group waits for one group less, wait_all not at all
  guard,      ///< a guarded access to memory is done by all lanes
  branch,     ///< a conditional jump forward is left out
  copy_size,  ///< cp.async reads all its bytes although some are to become zeros
};

std::string_view to_string(MutantKind kind);

struct Mutant {
  MutantKind kind = MutantKind::barrier;
  std::string kernel, instruction;
  uint32_t line = 0;
  size_t at = 0, size = 0;  ///< in the text
  std::string change;       ///< what stands there instead

  /// The whole text, of which this is a mutant, with the change; its lines keep their numbers.
  std::string ptx(std::string_view source) const;
};

/// All mutants of all kernels of a text, in its order. Error{input} as parse_ptx().
std::vector<Mutant> mutants(std::string_view ptx);

}  // namespace gristmill::emulator
