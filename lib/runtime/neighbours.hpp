#pragma once

// The ranks that run on this machine: they share its memory, and one that dies can be seen from the others.
//
// Who is on the same machine is told by the kernel's boot id, which no launcher has to say. A process is
// looked for by its number and the time it started, where both are in the same namespace of process numbers;
// a rank elsewhere is its launcher's to watch.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/collective.hpp"

namespace gristmill::runtime {

/// What tells one process from all others, now and later.
struct ProcessId {
  std::string machine;    ///< of the kernel's start
  std::string numbering;  ///< namespace of process numbers; empty = not known
  int64_t number = 0;
  uint64_t start = 0;  ///< in the kernel's ticks; 0 = not known

  std::string to_text() const;
  static ProcessId from_text(std::string_view text);
};

/// Of a process that can be looked for from here; `start` is 0 when there is none of this number.
ProcessId process_with(int64_t number);
ProcessId this_process();

/// True of a process that can be looked for from here and is not there any more (or is, but only waits to be
/// collected by its parent).
bool has_ended(const ProcessId& process);

class Neighbours {
 public:
  /// All ranks call it together.
  explicit Neighbours(Collective& ranks);
  /// With the ranks' processes given in order, and this one's.
  Neighbours(std::vector<ProcessId> processes, int rank);

  /// Ranks on this machine, this one among them.
  int count() const { return count_; }
  /// The first rank that has ended, if one has.
  std::optional<int> ended() const;
  const ProcessId& process(int rank) const { return processes_[static_cast<size_t>(rank)]; }

 private:
  std::vector<ProcessId> processes_;
  int rank_ = 0, count_ = 1;
};

}  // namespace gristmill::runtime
