#pragma once

// Compresses frames on several threads and hands them on in order. What is in a frame is decided by the
// caller alone, and each frame is compressed by itself: the bytes do not depend on the threads. Private to
// lib/shard.

#include <zstd.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace gristmill::shard {

class FrameCompressor {
 public:
  /// `sink` receives each compressed frame and its decoded size, in the order of push(), on the caller's
  /// thread.
  using Sink = std::function<void(const std::string& frame, size_t decoded)>;

  FrameCompressor(int level, int threads, Sink sink);
  ~FrameCompressor();
  FrameCompressor(const FrameCompressor&) = delete;
  FrameCompressor& operator=(const FrameCompressor&) = delete;

  /// Takes one frame's data; waits while more than a few frames a thread are on their way.
  void push(std::string data);
  /// Waits until every frame has reached the sink.
  void finish();

 private:
  struct FreeContext {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  using Context = std::unique_ptr<ZSTD_CCtx, FreeContext>;
  struct Job {
    std::string data, frame;
    bool taken = false, done = false;
    std::exception_ptr error;
  };

  Context make_context() const;
  static std::string compress(ZSTD_CCtx* context, const std::string& data);
  void start_workers();
  void work();
  void hand_on_first(std::unique_lock<std::mutex>& lock);

  int level_, threads_;
  Sink sink_;
  Context context_;  ///< of the caller, when there are no workers
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;  ///< references stay valid while jobs enter behind and leave in front
  bool stop_ = false;
};

}  // namespace gristmill::shard
