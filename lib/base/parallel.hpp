#pragma once

// Threads that never change a result: loops over independent items, and a pipeline whose outputs leave in
// the order of its inputs.

#include <condition_variable>
#include <cstddef>
#include <cstdint>
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
  /// Calls body(i) for i in [0, count), in any order, each once, and waits. Of several exceptions that of the
  /// smallest i is rethrown, so that the message does not depend on the number of threads.
  void run(size_t count, const std::function<void(size_t)>& body);

 private:
  void work();
  void take_items();
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable start_, done_;
  const std::function<void(size_t)>* body_ = nullptr;
  size_t count_ = 0, next_ = 0, finished_ = 0, failed_item_ = 0;
  uint64_t round_ = 0;
  bool stop_ = false;
  std::exception_ptr error_;
};

namespace detail {

/// The machinery of ordered_parallel: a queue whose slots are filled by one reading thread, mapped by several
/// workers, and emptied from the front by the caller.
template <class In, class Out>
class OrderedPipeline {
 public:
  using Source = std::function<std::optional<In>()>;
  using Map = std::function<Out(In&&)>;
  using Sink = std::function<void(Out&&)>;

  OrderedPipeline(int threads, const Source& source, const Map& map)
      : source_(source), map_(map), capacity_(static_cast<size_t>(threads) * 4) {
    try {
      threads_.emplace_back([this] { read(); });
      for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
    } catch (...) {  // the system grants no more threads
      stop();
      throw;
    }
  }
  ~OrderedPipeline() { stop(); }
  OrderedPipeline(const OrderedPipeline&) = delete;
  OrderedPipeline& operator=(const OrderedPipeline&) = delete;

  void drain(const Sink& sink) {
    std::unique_lock lock(mutex_);
    for (;;) {
      finished_.wait(lock, [&] { return slots_.empty() ? ended_ : slots_.front().done; });
      if (slots_.empty()) return;
      Slot slot = std::move(slots_.front());
      slots_.pop_front();
      if (untaken_ > 0) --untaken_;  // it counts from the front; the source's exception is taken by nobody
      space_.notify_one();
      lock.unlock();
      if (slot.error != nullptr) std::rethrow_exception(slot.error);
      sink(std::move(*slot.out));
      lock.lock();
    }
  }

 private:
  struct Slot {
    std::optional<In> in;
    std::optional<Out> out;
    std::exception_ptr error;
    bool done = false;
  };

  void read() {
    std::unique_lock lock(mutex_);
    while (!ended_) {
      space_.wait(lock, [&] { return stopped_ || slots_.size() < capacity_; });
      if (stopped_) return;
      lock.unlock();
      Slot slot;
      try {
        slot.in = source_();
      } catch (...) {
        slot.error = std::current_exception();
      }
      slot.done = slot.error != nullptr;
      lock.lock();
      ended_ = !slot.in.has_value();
      if (!ended_ || slot.done) slots_.push_back(std::move(slot));
      if (ended_) {
        available_.notify_all();
        finished_.notify_one();
      } else {
        available_.notify_one();
      }
    }
  }

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      available_.wait(lock, [&] { return stopped_ || ended_ || untaken_ < slots_.size(); });
      if (stopped_ || untaken_ >= slots_.size()) return;
      Slot& slot = slots_[untaken_++];  // stays where it is: a deque moves nothing when its ends change
      if (slot.done) return;            // the source's exception: the last slot
      lock.unlock();
      std::optional<Out> out;
      std::exception_ptr error;
      try {
        In in = std::move(*slot.in);  // released here, not when its turn comes to leave
        out.emplace(map_(std::move(in)));
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      slot.out = std::move(out);
      slot.error = error;
      slot.done = true;
      if (&slot == &slots_.front()) finished_.notify_one();
    }
  }

  void stop() {
    {
      const std::scoped_lock lock(mutex_);
      stopped_ = true;
    }
    space_.notify_all();
    available_.notify_all();
    for (auto& thread : threads_) thread.join();
    threads_.clear();
  }

  const Source& source_;
  const Map& map_;
  const size_t capacity_;
  std::mutex mutex_;
  std::condition_variable space_, available_, finished_;
  std::deque<Slot> slots_;
  size_t untaken_ = 0;  ///< slots before this index are taken by a worker
  bool ended_ = false, stopped_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace detail

/// Maps the items of `source` on `threads` threads and hands the results to `sink` in the order of the
/// source. `sink` runs on the calling thread. `source` (nullopt at its end) runs on a thread of its own when
/// threads > 1, so that a slow pipe holds back no finished result: what source and sink share must be guarded
/// or kept apart (two fields of a Stats are apart, two drop() calls are not). At most 4 items a thread are in
/// flight. An exception of any of the three stops the pipeline and is rethrown, after the results of all
/// items before it were handed over.
template <class In, class Out>
void ordered_parallel(int threads, const std::function<std::optional<In>()>& source,
                      const std::function<Out(In&&)>& map, const std::function<void(Out&&)>& sink) {
  if (threads <= 1) {
    while (auto item = source()) sink(map(std::move(*item)));
    return;
  }
  detail::OrderedPipeline<In, Out>(threads, source, map).drain(sink);
}

}  // namespace gristmill
