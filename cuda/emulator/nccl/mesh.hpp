#pragma once

// The ranks of an emulated communicator, each connected with each: threads of one process and processes of
// one machine alike, by Unix sockets whose names hold the communicator's id. A rank that ends, however it
// does, closes its sockets, which the others see at once.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace gristmill::emulator {

enum class CallKind : uint32_t { send, receive, reduce_scatter, reduce, all_gather, broadcast };

/// What a rank calls, as it is told to the other ranks of the call.
struct Announcement {
  uint32_t mark = 0x6c63636e;  ///< "nccl"
  CallKind kind = CallKind::send;
  uint64_t count = 0;
  int32_t type = 0, operation = 0, root = 0, unused = 0;
  bool operator==(const Announcement&) const = default;
};
/// "reduce of 4 of type 7 to rank 1".
std::string to_string(const Announcement& call);

/// A rank's part in a call, and its peer's. Both sides announce what they call, also where no bytes follow.
struct Message {
  int peer = 0;
  Announcement mine, expected;
  std::vector<std::byte> out, in;  ///< `in` has the size that is expected
};

class Mesh {
 public:
  /// Returns when all ranks are here; Error{device} when they are not within the limit, or count otherwise.
  Mesh(const std::string& id, int rank, int size, std::chrono::milliseconds limit);
  ~Mesh();
  Mesh(const Mesh&) = delete;
  Mesh& operator=(const Mesh&) = delete;

  /// All messages go on together; those of a peer in their order. Error{device} when a rank is gone or calls
  /// something else.
  void exchange(std::vector<Message*> messages);
  /// Ends an exchange that is under way, and shows the other ranks that this one is gone. From any thread.
  void close() noexcept;

 private:
  struct Lane;
  void connect_to(int peer, std::chrono::steady_clock::time_point until);
  void accept_one(int listener, std::chrono::steady_clock::time_point until);
  void check_greeting(const void* bytes, int peer) const;
  void send_some(Lane& lane);
  void receive_some(Lane& lane);
  std::string name_of(int rank) const;
  [[noreturn]] void fail_without(int peer) const;

  const std::string id_;
  const int rank_, size_;
  std::vector<int> sockets_;  ///< by rank; -1 here
  std::atomic<bool> closed_ = false;
};

}  // namespace gristmill::emulator
