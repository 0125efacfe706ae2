#include "train/signals.hpp"

#include <atomic>
#include <csignal>
#include <mutex>

namespace gristmill::train {
namespace {

std::atomic<bool> g_requested = false;
static_assert(std::atomic<bool>::is_always_lock_free, "what a signal handler may touch");

std::mutex g_mutex;  // guards what follows
int g_living = 0;
struct sigaction g_old_terminate {
}, g_old_user{};

extern "C" void request_stop(int) { g_requested = true; }

}  // namespace

StopSignals::StopSignals() {
  const std::lock_guard lock(g_mutex);
  if (g_living++ > 0) return;
  g_requested = false;
  struct sigaction action {};
  action.sa_handler = request_stop;
  ::sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGTERM, &action, &g_old_terminate);
  ::sigaction(SIGUSR1, &action, &g_old_user);
}

StopSignals::~StopSignals() {
  const std::lock_guard lock(g_mutex);
  if (--g_living > 0) return;
  ::sigaction(SIGTERM, &g_old_terminate, nullptr);
  ::sigaction(SIGUSR1, &g_old_user, nullptr);
}

bool StopSignals::requested() const { return g_requested; }

}  // namespace gristmill::train
