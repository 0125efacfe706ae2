#pragma once

// Threads that never change a result: loops over independent items, and a pipeline whose outputs leave in
// the order of its inputs.

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace gristmill {

/// The number of processors this process may run on (its affinity mask), at least 1.
int available_threads();

/// Worker threads that stay alive between loops. One loop at a time; nested loops run in their caller.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }
  /// Calls body(i) for i in [0, count), in any order, each once, and waits. The first exception is rethrown.
  void run(size_t count, const std::function<void(size_t)>& body);

 private:
  void work();
  void take_items();
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable start_, done_;
  const std::function<void(size_t)>* body_ = nullptr;
  size_t count_ = 0, next_ = 0, finished_ = 0;
  uint64_t round_ = 0;
  bool stop_ = false;
  std::exception_ptr error_;
};

/// Reads items with `source` (one thread, nullopt at the end), maps them on `threads` threads, and hands the
/// results to `sink` (the calling thread) in the order of the source. At most 4 items a thread are in flight. The
/// first exception of any of the three stops the pipeline and is rethrown.
template <class In, class Out>
void ordered_parallel(int threads, const std::function<std::optional<In>()>& source,
                      const std::function<Out(In&&)>& map, const std::function<void(Out&&)>& sink) {
  if (threads <= 1) {
    while (auto item = source()) sink(map(std::move(*item)));
    return;
  }
  struct Slot {
    std::optional<In> in;
    std::optional<Out> out;
    std::exception_ptr error;
    bool taken = false;
  };
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Slot> slots;  // references stay valid while items enter behind and leave in front
  bool ended = false, abandoned = false;
  const size_t capacity = static_cast<size_t>(threads) * 4;

  const auto next_untaken = [&]() -> Slot* {
    for (auto& slot : slots) {
      if (!slot.taken) return &slot;
    }
    return nullptr;
  };
  const auto worker = [&] {
    std::unique_lock lock(mutex);
    for (;;) {
      Slot* slot = nullptr;
      changed.wait(lock, [&] { return abandoned || (slot = next_untaken()) != nullptr || ended; });
      if (abandoned || slot == nullptr) return;
      slot->taken = true;
      lock.unlock();
      std::optional<Out> out;
      std::exception_ptr error;
      try {
        out.emplace(map(std::move(*slot->in)));
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      slot->out = std::move(out);
      slot->error = error;
      changed.notify_all();
    }
  };
  std::vector<std::thread> workers;
  for (int i = 0; i < threads; ++i) workers.emplace_back(worker);

  std::exception_ptr error;
  try {
    for (;;) {
      std::unique_lock lock(mutex);
      if (!ended && slots.size() < capacity) {
        lock.unlock();
        auto item = source();
        lock.lock();
        if (item) {
          slots.push_back(Slot{std::move(item), std::nullopt, nullptr, false});
        } else {
          ended = true;
        }
        changed.notify_all();
        continue;
      }
      if (slots.empty()) break;
      changed.wait(lock, [&] { return slots.front().out.has_value() || slots.front().error != nullptr; });
      Slot slot = std::move(slots.front());
      slots.pop_front();
      lock.unlock();
      if (slot.error != nullptr) std::rethrow_exception(slot.error);
      sink(std::move(*slot.out));
    }
  } catch (...) {
    error = std::current_exception();
  }
  {
    const std::scoped_lock lock(mutex);
    abandoned = error != nullptr;
    ended = true;
  }
  changed.notify_all();
  for (auto& thread : workers) thread.join();
  if (error != nullptr) std::rethrow_exception(error);
}

}  // namespace gristmill
