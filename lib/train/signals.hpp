#pragma once

// SIGTERM and SIGUSR1 as a polite request to stop: batch systems send them before they take a machine away.

#include <csignal>

namespace gristmill::train {

/// While it lives, the two signals set a flag in place of ending the process.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  bool requested() const;

 private:
  struct sigaction old_terminate_ {
  }, old_user_{};
};

}  // namespace gristmill::train
