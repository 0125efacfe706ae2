#include "shard/frame_compressor.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "base/error.hpp"

namespace gristmill::shard {

namespace {
constexpr size_t kJobsPerThread = 3;
}

FrameCompressor::FrameCompressor(int level, int threads, Sink sink)
    : level_(level), threads_(threads), sink_(std::move(sink)) {
  if (threads_ <= 1) context_ = make_context();
}

FrameCompressor::~FrameCompressor() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  for (auto& worker : workers_) worker.join();
}

FrameCompressor::Context FrameCompressor::make_context() const {
  Context context(ZSTD_createCCtx());
  if (context == nullptr) throw std::bad_alloc();
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level_);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  return context;
}

std::string FrameCompressor::compress(ZSTD_CCtx* context, const std::string& data) {
  std::string frame(ZSTD_compressBound(data.size()), '\0');
  const size_t size = ZSTD_compress2(context, frame.data(), frame.size(), data.data(), data.size());
  if (ZSTD_isError(size) != 0) fail(Kind::internal, "zstd cannot compress: ", ZSTD_getErrorName(size));
  frame.resize(size);
  return frame;
}

void FrameCompressor::push(std::string data) {
  if (threads_ <= 1) {
    sink_(compress(context_.get(), data), data.size());
    return;
  }
  if (workers_.empty()) start_workers();
  std::unique_lock lock(mutex_);
  jobs_.emplace_back().data = std::move(data);
  changed_.notify_all();
  while (jobs_.front().done || jobs_.size() > kJobsPerThread * static_cast<size_t>(threads_)) {
    hand_on_first(lock);
    if (jobs_.empty()) break;
  }
}

void FrameCompressor::finish() {
  std::unique_lock lock(mutex_);
  while (!jobs_.empty()) hand_on_first(lock);
}

void FrameCompressor::hand_on_first(std::unique_lock<std::mutex>& lock) {
  changed_.wait(lock, [this] { return jobs_.front().done; });
  const Job job = std::move(jobs_.front());
  jobs_.pop_front();
  lock.unlock();
  if (job.error != nullptr) std::rethrow_exception(job.error);
  sink_(job.frame, job.data.size());
  lock.lock();
}

void FrameCompressor::start_workers() {
  for (int i = 0; i < threads_; ++i) workers_.emplace_back([this] { work(); });
}

void FrameCompressor::work() {
  Context context;
  std::unique_lock lock(mutex_);
  for (;;) {
    auto job = jobs_.end();
    changed_.wait(lock, [&] {
      job = std::find_if(jobs_.begin(), jobs_.end(), [](const Job& candidate) { return !candidate.taken; });
      return stop_ || job != jobs_.end();
    });
    if (stop_) return;
    Job& mine = *job;
    mine.taken = true;
    lock.unlock();
    std::string frame;
    std::exception_ptr error;
    try {
      if (context == nullptr) context = make_context();
      frame = compress(context.get(), mine.data);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    mine.frame = std::move(frame);
    mine.error = error;
    mine.done = true;
    changed_.notify_all();
  }
}

}  // namespace gristmill::shard
