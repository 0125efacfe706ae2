#include "train/signals.hpp"

namespace gristmill::train {
namespace {

volatile std::sig_atomic_t g_requested = 0;

extern "C" void request_stop(int) { g_requested = 1; }

}  // namespace

StopSignals::StopSignals() {
  g_requested = 0;
  struct sigaction action {};
  action.sa_handler = request_stop;
  ::sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGTERM, &action, &old_terminate_);
  ::sigaction(SIGUSR1, &action, &old_user_);
}

StopSignals::~StopSignals() {
  ::sigaction(SIGTERM, &old_terminate_, nullptr);
  ::sigaction(SIGUSR1, &old_user_, nullptr);
}

bool StopSignals::requested() const { return g_requested != 0; }

}  // namespace gristmill::train
