#pragma once

// Ranks that know their number and nothing else find each other by a file that all of them see.
//
// Each rank but the first puts a FILE.RANK there with its name, which no other process has or had. The first
// rank collects these and puts FILE there, with its message and the names it was made for; a rank takes the
// message only if its own name is among them, and then takes its FILE.RANK away. So a file that an earlier
// run left behind is never taken for one of this run, in whatever order the ranks come: it has other names.
// When all have taken theirs, FILE goes too. Files appear whole or not at all.

#include <string>

namespace gristmill::runtime {

struct Meeting {
  std::string file;
  std::string run;  ///< the same for all ranks; what differs from it is of another run. May be empty
  int rank = 0, ranks = 1;
  double seconds = 300;  ///< how long to wait for the others
};

/// Rank 0's message, of 64 KiB at most, at all ranks. Error{usage} when another rank counts otherwise or is
/// of another run; Error{device} that names the missing rank when not all came in time.
std::string meet_by_file(const Meeting& meeting, const std::string& message);

}  // namespace gristmill::runtime
