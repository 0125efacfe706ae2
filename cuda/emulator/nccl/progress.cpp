#include "emulator/nccl/progress.hpp"

#include "base/error.hpp"

namespace gristmill::emulator {

namespace {
constexpr auto kPatience = std::chrono::milliseconds(400);
}

Progress::Progress(Gpu& gpu) : gpu_(gpu), event_(gpu.create_event()), thread_([this] { go_on(); }) {}

void Progress::stop() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  if (!thread_.joinable()) return;
  thread_.join();
  gpu_.destroy_event(event_);
}

void Progress::note(const LazyStream* stream) {
  gpu_.record(event_, stream);
  const std::scoped_lock lock(mutex_);
  due_ = Clock::now() + kPatience;
  pending_ = true;
  changed_.notify_one();
}

void Progress::go_on() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return pending_ || ending_; });
    if (ending_) return;
    if (const auto due = due_; Clock::now() < due) {
      changed_.wait_until(lock, due);
      continue;
    }
    pending_ = false;
    lock.unlock();
    try {
      gpu_.synchronize(event_);
    } catch (const Error&) {
      // the GPU keeps it for whoever waits
    }
    lock.lock();
  }
}

}  // namespace gristmill::emulator
