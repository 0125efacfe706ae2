#include "base/parallel.hpp"

#include <sched.h>

#include <algorithm>

namespace gristmill {

namespace {
thread_local bool t_inside_loop = false;
}

int available_threads() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (::sched_getaffinity(0, sizeof mask, &mask) != 0) return 1;
  return std::max(1, CPU_COUNT(&mask));
}

ThreadPool::ThreadPool(int threads) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
}

ThreadPool::~ThreadPool() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  start_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void ThreadPool::take_items() {
  t_inside_loop = true;
  std::unique_lock lock(mutex_);
  while (next_ < count_) {
    const size_t item = next_++;
    const auto* body = body_;
    lock.unlock();
    std::exception_ptr error;
    try {
      (*body)(item);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    if (error != nullptr && (error_ == nullptr || item < failed_item_)) {
      error_ = error;
      failed_item_ = item;
    }
    if (++finished_ == count_) done_.notify_all();
  }
  t_inside_loop = false;
}

void ThreadPool::work() {
  uint64_t seen = 0;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      start_.wait(lock, [&] { return stop_ || round_ != seen; });
      if (stop_) return;
      seen = round_;
    }
    take_items();
  }
}

void ThreadPool::run(size_t count, const std::function<void(size_t)>& body) {
  if (count == 0) return;
  if (workers_.empty() || count == 1 || t_inside_loop) {
    for (size_t i = 0; i < count; ++i) body(i);
    return;
  }
  {
    const std::scoped_lock lock(mutex_);
    body_ = &body;
    count_ = count;
    next_ = finished_ = 0;
    error_ = nullptr;
    ++round_;
  }
  start_.notify_all();
  take_items();
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return finished_ == count_; });
  body_ = nullptr;
  count_ = next_ = 0;
  if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
}

}  // namespace gristmill
