#pragma once

// One rank of a communicator, with a stream of its own on a GPU.

#include <functional>
#include <string>

#include "cuda/gpu.hpp"
#include "cuda/nccl/nccl.hpp"

namespace gristmill::runtime::cuda {

class NcclRank {
 public:
  /// Returns when all ranks have come.
  NcclRank(const Nccl& nccl, Gpu& gpu, const NcclId& id, int rank, int ranks);
  /// Waits for what is under way; while an exception is on its way it ends that instead.
  ~NcclRank();
  NcclRank(const NcclRank&) = delete;
  NcclRank& operator=(const NcclRank&) = delete;

  const Nccl& nccl() const { return nccl_; }
  Communicator communicator() const { return communicator_; }
  Stream stream() const { return stream_; }

  /// What is put on stream() from here on comes after what is on the GPU's stream now. Error{device} if the
  /// communicator has failed.
  void begin(const char* what);
  /// What is put on the GPU's stream from here on comes after what is on stream() now.
  void join();
  /// `calls` as one piece of work on stream().
  void group(const std::function<void()>& calls);
  void expect(NcclResult result, const char* what) { check(nccl_, result, what); }
  void synchronize();
  void give_up() noexcept;

 private:
  const Nccl& nccl_;
  Gpu& gpu_;
  const int exceptions_;  ///< on their way when this began
  Communicator communicator_ = nullptr;
  Stream stream_ = nullptr;
  Event reached_ = nullptr, done_ = nullptr;
};

/// A new communicator's id; its text form holds all its bytes.
NcclId new_id(const Nccl& nccl);
std::string to_text(const NcclId& id);
/// Error{device} for a text that is none.
NcclId id_of(const std::string& text);

}  // namespace gristmill::runtime::cuda
