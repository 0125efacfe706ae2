#include "emulator/nccl/communicator.hpp"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "base/error.hpp"
#include "base/str.hpp"
#include "cuda/nccl/nccl.hpp"

namespace gristmill::emulator {

namespace {

constexpr int kTypes = 10;  // int8 … bfloat16, by ncclDataType_t's numbers
constexpr size_t kTypeBytes[kTypes] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2};

size_t bytes_of(const Call& call) { return call.count * kTypeBytes[call.type]; }

bool is_sum(CallKind kind) { return kind == CallKind::reduce || kind == CallKind::reduce_scatter; }
bool is_pair(CallKind kind) { return kind == CallKind::send || kind == CallKind::receive; }

std::vector<std::byte> read(Memory& memory, uint64_t from, size_t bytes, const char* what) {
  std::vector<std::byte> content(bytes);
  memory.read(from, content.data(), bytes);
  if (!memory.initialised(from, bytes))
    fail(Kind::device, "emulated NCCL: ", what, " sends bytes that were never written, of ",
         memory.describe(from));
  return content;
}

void expect_room(const Memory& memory, uint64_t to, size_t bytes, const char* what) {
  const Allocation* allocation = memory.find(to);
  if (allocation != nullptr && allocation->contains(to, bytes) && !allocation->read_only()) return;
  fail(Kind::device, "emulated NCCL: ", what, " writes ", bytes,
       " bytes outside of memory: ", memory.describe(to));
}

std::span<const std::byte> part(const std::vector<std::byte>& all, size_t first, size_t bytes) {
  return std::span(all).subspan(first, bytes);
}

std::vector<std::byte> copied(std::span<const std::byte> bytes) { return {bytes.begin(), bytes.end()}; }

}  // namespace

/// A call on its way: what this rank has of its own, and its messages with each peer in their order.
struct EmulatedCommunicator::Work {
  Call call;
  std::vector<std::byte> own = {};
  std::vector<Message> messages = {};
};

void EmulatedCommunicator::check(const Call& call) const {
  const std::string what = to_string(announced(call, call.other, false));
  if (call.type < 0 || call.type >= kTypes) fail(Kind::device, "emulated NCCL: ", what, ": no such type");
  if (is_sum(call.kind) &&
      (call.type != runtime::cuda::kNcclFloat32 || call.operation != runtime::cuda::kNcclSum))
    fail(Kind::device, "emulated NCCL: ", what, ": only sums of float32 are emulated");
  if (call.other < 0 || call.other >= size_)
    fail(Kind::device, "emulated NCCL: ", what, ": there is no rank ", call.other, " of ", size_);
  if (is_pair(call.kind) && call.other == rank_)
    fail(Kind::device, "emulated NCCL: ", what, ": rank ", rank_, " exchanges with itself");
}

Announcement EmulatedCommunicator::announced(const Call& call, int peer, bool by_peer) const {
  Announcement announcement;
  announcement.kind = call.kind;
  if (by_peer && is_pair(call.kind))
    announcement.kind = call.kind == CallKind::send ? CallKind::receive : CallKind::send;
  announcement.count = call.count;
  announcement.type = call.type;
  announcement.operation = call.operation;
  announcement.root = is_pair(call.kind) ? (by_peer ? rank_ : peer) : call.other;
  return announcement;
}

void EmulatedCommunicator::enqueue(const LazyStream* stream, std::vector<Call> calls) {
  gpu_.enqueue_work(stream, [self = shared_from_this(), calls = std::move(calls)](Memory& memory) {
    try {
      self->run(calls, memory);
    } catch (...) {
      self->broken_ = true;
      self->mesh_.close();
      throw;
    }
  });
  progress_.note(stream);
}

/// Both ranks of a pair come to the same order: collective calls, what goes up, what goes down.
int EmulatedCommunicator::turn_of(const Message& message) const {
  if (!is_pair(message.mine.kind)) return 0;
  return (message.mine.kind == CallKind::send) == (rank_ < message.peer) ? 1 : 2;
}

void EmulatedCommunicator::run(const std::vector<Call>& calls, Memory& memory) {
  std::vector<Work> works;
  works.reserve(calls.size());
  for (const Call& call : calls) works.push_back(prepare(call, memory));
  std::vector<Message*> messages;
  for (Work& work : works)
    for (Message& message : work.messages) messages.push_back(&message);
  // In a group the sends of a rank meet the receives of its peer, whatever was called first of the two.
  std::stable_sort(messages.begin(), messages.end(),
                   [&](const Message* a, const Message* b) { return turn_of(*a) < turn_of(*b); });
  mesh_.exchange(std::move(messages));
  for (const Work& work : works) finish(work, memory);
}

EmulatedCommunicator::Work EmulatedCommunicator::prepare(const Call& call, Memory& memory) const {
  const bool root = call.other == rank_;
  const size_t bytes = bytes_of(call), all = bytes * static_cast<size_t>(size_);
  const std::string text = to_string(announced(call, call.other, false));
  const char* what = text.c_str();
  Work work = {call};
  const bool reads = call.kind != CallKind::receive && (call.kind != CallKind::broadcast || root);
  const bool writes = call.kind != CallKind::send && (call.kind != CallKind::reduce || root);
  if (reads) work.own = read(memory, call.from, call.kind == CallKind::reduce_scatter ? all : bytes, what);
  if (writes) expect_room(memory, call.to, call.kind == CallKind::all_gather ? all : bytes, what);
  for (int peer = 0; peer < size_; ++peer) {
    if (peer == rank_ || (is_pair(call.kind) && peer != call.other)) continue;
    Message message = {peer, announced(call, peer, false), announced(call, peer, true), {}, {}};
    const bool from_peer =
        call.kind == CallKind::broadcast || call.kind == CallKind::receive ? peer == call.other : writes;
    const bool to_peer = call.kind == CallKind::reduce ? peer == call.other : reads;
    if (to_peer && call.kind == CallKind::reduce_scatter) {
      message.out = copied(part(work.own, static_cast<size_t>(peer) * bytes, bytes));
    } else if (to_peer) {
      message.out = work.own;
    }
    message.in.resize(from_peer ? bytes : 0);
    work.messages.push_back(std::move(message));
  }
  return work;
}

/// From the last rank to the first; the own part begins at `first` of what is its own.
std::vector<std::byte> EmulatedCommunicator::sum(const Work& work, size_t first, size_t bytes) const {
  std::vector<float> total(bytes / sizeof(float)), added(total.size());
  for (int rank = size_ - 1; rank >= 0; --rank) {
    const size_t at = static_cast<size_t>(rank > rank_ ? rank - 1 : rank);
    const auto from =
        rank == rank_ ? part(work.own, first, bytes) : std::span(std::as_const(work.messages[at].in));
    std::memcpy(added.data(), from.data(), bytes);
    if (rank == size_ - 1) {
      total = added;
    } else {
      for (size_t i = 0; i < total.size(); ++i) total[i] += added[i];
    }
  }
  std::vector<std::byte> result(bytes);
  std::memcpy(result.data(), total.data(), bytes);
  return result;
}

void EmulatedCommunicator::finish(const Work& work, Memory& memory) const {
  const Call& call = work.call;
  const size_t bytes = bytes_of(call);
  const bool root = call.other == rank_;
  const auto write = [&](uint64_t to, std::span<const std::byte> content) {
    memory.write(to, content.data(), content.size());
  };
  switch (call.kind) {
    case CallKind::send:
      return;
    case CallKind::receive:
      return write(call.to, work.messages.front().in);
    case CallKind::reduce_scatter:
      return write(call.to, sum(work, static_cast<size_t>(rank_) * bytes, bytes));
    case CallKind::reduce:
      if (root) write(call.to, sum(work, 0, bytes));
      return;
    case CallKind::all_gather:
      write(call.to + static_cast<uint64_t>(rank_) * bytes, work.own);
      for (const Message& message : work.messages)
        write(call.to + static_cast<uint64_t>(message.peer) * bytes, message.in);
      return;
    case CallKind::broadcast:
      break;
  }
  if (root) return write(call.to, work.own);
  for (const Message& message : work.messages)
    if (message.peer == call.other) write(call.to, message.in);
}

}  // namespace gristmill::emulator
