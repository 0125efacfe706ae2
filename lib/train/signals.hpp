#pragma once

// SIGTERM and SIGUSR1 as a polite request to stop: batch systems send them before they take a machine away.

namespace gristmill::train {

/// While one lives, the two signals set a flag in place of ending the process; the first of several at once
/// clears the flag, the last gives the signals back.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  bool requested() const;
};

}  // namespace gristmill::train
