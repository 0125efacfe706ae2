#pragma once

// What a GPU does by itself and a lazy stream does not: it goes on when nobody waits for it. Work that takes
// several ranks may be waited for by another rank only, so a thread runs it when it has lain there for a
// while. That is long enough for the host's own mistakes to show: it reads at once what it forgot to wait
// for.

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "emulator/driver/gpu.hpp"

namespace gristmill::emulator {

class Progress {
 public:
  explicit Progress(Gpu& gpu);
  ~Progress() { stop(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// What is on the stream by now shall be run, sooner or later.
  void note(const LazyStream* stream);
  /// Nothing more is run. Not from what is being run; before the GPU goes.
  void stop();

 private:
  using Clock = std::chrono::steady_clock;
  void go_on();

  Gpu& gpu_;
  Moment* event_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Clock::time_point due_ = {};
  bool pending_ = false, ending_ = false;
  std::thread thread_;
};

}  // namespace gristmill::emulator
