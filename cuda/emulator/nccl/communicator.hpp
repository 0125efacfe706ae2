#pragma once

// A rank of an emulated communicator: calls become items of a lazy stream, and are carried out over the mesh
// when somebody waits for them. Sums are added from the last rank to the first, so that what needs the order
// of ranks shows.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "emulator/driver/gpu.hpp"
#include "emulator/nccl/mesh.hpp"
#include "emulator/nccl/progress.hpp"

namespace gristmill::emulator {

struct Call {
  CallKind kind = CallKind::send;
  uint64_t from = 0, to = 0;  ///< addresses; 0 where there is none
  uint64_t count = 0;         ///< of a rank in what is scattered or gathered
  int type = 0, operation = 0;
  int other = 0;  ///< the peer, or the root
};

class EmulatedCommunicator : public std::enable_shared_from_this<EmulatedCommunicator> {
 public:
  EmulatedCommunicator(Gpu& gpu, const std::string& id, int rank, int size, std::chrono::milliseconds limit)
      : gpu_(gpu), rank_(rank), size_(size), mesh_(id, rank, size, limit), progress_(gpu) {}

  const Gpu& gpu() const { return gpu_; }
  /// Error{device} for a call that cannot be right, whatever the others call.
  void check(const Call& call) const;
  /// Puts a group of calls on the stream.
  void enqueue(const LazyStream* stream, std::vector<Call> calls);
  /// From now on work that has not ended is a fault, and the other ranks see this one gone.
  void end() {
    mesh_.close();
    progress_.stop();
  }
  bool broken() const { return broken_; }

 private:
  struct Work;
  void run(const std::vector<Call>& calls, Memory& memory);
  Work prepare(const Call& call, Memory& memory) const;
  void finish(const Work& work, Memory& memory) const;
  int turn_of(const Message& message) const;
  Announcement announced(const Call& call, int peer, bool by_peer) const;
  std::vector<std::byte> sum(const Work& work, size_t first, size_t bytes) const;

  Gpu& gpu_;
  const int rank_, size_;
  Mesh mesh_;
  Progress progress_;
  std::atomic<bool> broken_ = false;
};

}  // namespace gristmill::emulator
