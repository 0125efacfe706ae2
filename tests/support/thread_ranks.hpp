#pragma once

// Ranks as threads of one process: what the sums over ranks, and a trainer on several ranks, are tested with
// where no MPI is.

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "runtime/collective.hpp"

namespace gristmill::test {

/// Where the threads meet. A rank that fails releases the others with an exception of theirs.
class MeetingPlace {
 public:
  explicit MeetingPlace(int size) : size_(size), out_(static_cast<size_t>(size)) {}

  int size() const { return size_; }

  void exchange(int rank, const runtime::Collective::Parts& out, const runtime::Collective::Places& in) {
    out_[static_cast<size_t>(rank)] = out;
    wait();
    for (size_t p = 0; p < out_.size(); ++p) {
      const auto part = out_[p].at(static_cast<size_t>(rank));
      if (part.size() != in.at(p).size()) throw std::logic_error("ranks disagree on a length");
      if (!part.empty()) std::memcpy(in[p].data(), part.data(), part.size());
    }
    wait();
  }

  void give_up() {
    const std::scoped_lock lock(mutex_);
    gone_ = true;
    all_.notify_all();
  }

 private:
  void wait() {
    std::unique_lock lock(mutex_);
    const auto round = round_;
    if (++arrived_ == size_) {
      arrived_ = 0;
      ++round_;
      all_.notify_all();
    }
    all_.wait(lock, [&] { return gone_ || round_ != round; });
    if (round_ == round) throw std::runtime_error("another rank is gone");
  }

  int size_, arrived_ = 0;
  uint64_t round_ = 0;
  bool gone_ = false;
  std::vector<runtime::Collective::Parts> out_;
  std::mutex mutex_;
  std::condition_variable all_;
};

class ThreadRank final : public runtime::Collective {
 public:
  ThreadRank(MeetingPlace& place, int rank) : place_(place), rank_(rank) {}
  std::string name() const override { return "threads"; }
  int rank() const override { return rank_; }
  int size() const override { return place_.size(); }
  void exchange(const Parts& out, const Places& in) override { place_.exchange(rank_, out, in); }
  void end_all(int) noexcept override { place_.give_up(); }

 private:
  MeetingPlace& place_;
  int rank_;
};

/// Runs `body` once for each of `count` ranks at the same time; rethrows the first rank's exception. Catch's
/// assertions belong behind it, not into it: they are not made for threads.
inline void run_ranks(int count, const std::function<void(runtime::Collective&)>& body) {
  MeetingPlace place(count);
  std::vector<std::exception_ptr> errors(static_cast<size_t>(count));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < count; ++rank) {
    threads.emplace_back([&, rank] {
      ThreadRank self(place, rank);
      try {
        body(self);
      } catch (...) {
        errors[static_cast<size_t>(rank)] = std::current_exception();
        place.give_up();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& error : errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace gristmill::test
