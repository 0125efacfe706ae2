#include "emulator/nccl/emulated_nccl.hpp"

#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/str.hpp"
#include "emulator/nccl/communicator.hpp"

namespace gristmill::emulator {

namespace {

namespace cuda = runtime::cuda;
using cuda::kNcclSuccess;
using cuda::NcclResult;
using Shared = std::shared_ptr<EmulatedCommunicator>;

constexpr int kVersion = 22800;
constexpr NcclResult kRemoteError = 6;
constexpr char kIdMark[] = "emulated NCCL ";

std::atomic<int64_t> joining_limit_ms = 120'000;

/// The communicators of this process, by their handles.
class Register {
 public:
  cuda::Communicator add(Shared communicator) {
    const std::scoped_lock lock(mutex_);
    const auto handle = reinterpret_cast<cuda::Communicator>(communicator.get());
    all_[handle] = std::move(communicator);
    return handle;
  }
  Shared find(cuda::Communicator handle, const char* what) {
    const std::scoped_lock lock(mutex_);
    const auto found = all_.find(handle);
    if (found == all_.end())
      fail(Kind::device, "emulated NCCL: ", what, " on a communicator that is not there, or not any more");
    return found->second;
  }
  Shared take(cuda::Communicator handle, const char* what) {
    Shared found = find(handle, what);
    const std::scoped_lock lock(mutex_);
    all_.erase(handle);
    return found;
  }

 private:
  std::mutex mutex_;
  std::map<cuda::Communicator, Shared> all_;
};

Register& communicators() {
  static Register all;
  return all;
}

/// Calls of a thread between the start and the end of its group.
struct Pending {
  Shared communicator;
  const LazyStream* stream = nullptr;
  std::vector<Call> calls;
};
thread_local int depth = 0;
thread_local std::vector<Pending> group;

void end_group() {
  for (Pending& pending : std::exchange(group, {}))
    pending.communicator->enqueue(pending.stream, std::move(pending.calls));
}

void add_to_group(const char* what, const Call& call, cuda::Communicator handle, cuda::Stream on) {
  const Shared communicator = communicators().find(handle, what);
  const auto* stream = reinterpret_cast<const LazyStream*>(on);
  if (&current_gpu() != &communicator->gpu())
    fail(Kind::device, "emulated NCCL: ", what, " while another GPU than the communicator's is current");
  communicator->check(call);
  auto known = group.begin();
  while (known != group.end() && known->communicator != communicator) ++known;
  if (known == group.end()) known = group.insert(known, {communicator, stream, {}});
  if (known->stream != stream)
    fail(Kind::device, "emulated NCCL: ", what, " on another stream than the rest of its group");
  known->calls.push_back(call);
}

NcclResult put(const char* what, const Call& call, cuda::Communicator handle, cuda::Stream on) {
  try {
    add_to_group(what, call, handle, on);
  } catch (...) {
    group.clear();
    depth = 0;
    throw;
  }
  if (depth == 0) end_group();
  return kNcclSuccess;
}

uint64_t address_of(const void* memory) { return reinterpret_cast<uint64_t>(memory); }

NcclResult make_id(cuda::NcclId* id) {
  static std::mutex mutex;
  const std::scoped_lock lock(mutex);
  static std::random_device device;
  const std::string text = str(kIdMark, device(), "-", device(), "-", device());
  *id = {};
  std::memcpy(id->bytes, text.data(), text.size());
  return kNcclSuccess;
}

NcclResult init_rank(cuda::Communicator* communicator, int ranks, cuda::NcclId id, int rank) {
  constexpr size_t kMark = sizeof kIdMark - 1;
  id.bytes[sizeof id.bytes - 1] = '\0';
  if (std::strncmp(id.bytes, kIdMark, kMark) != 0) fail(Kind::device, "emulated NCCL: this is no id of mine");
  if (ranks < 1 || rank < 0 || rank >= ranks)
    fail(Kind::device, "emulated NCCL: there is no rank ", rank, " of ", ranks);
  *communicator = communicators().add(std::make_shared<EmulatedCommunicator>(
      current_gpu(), id.bytes + kMark, rank, ranks, std::chrono::milliseconds(joining_limit_ms)));
  return kNcclSuccess;
}

void put_communicators(cuda::Nccl& nccl) {
  nccl.version = [](int* version) { return *version = kVersion, kNcclSuccess; };
  nccl.error_string = [](NcclResult) { return "an error of the emulated NCCL"; };
  nccl.unique_id = make_id;
  nccl.init_rank = init_rank;
  nccl.destroy = [](cuda::Communicator communicator) {
    return communicators().take(communicator, "destroy")->end(), kNcclSuccess;
  };
  nccl.abort = [](cuda::Communicator communicator) {
    return communicators().take(communicator, "abort")->end(), kNcclSuccess;
  };
  nccl.async_error = [](cuda::Communicator communicator, NcclResult* error) {
    *error = communicators().find(communicator, "a question")->broken() ? kRemoteError : kNcclSuccess;
    return kNcclSuccess;
  };
  nccl.group_start = [] { return ++depth, kNcclSuccess; };
  nccl.group_end = [] {
    if (depth == 0) fail(Kind::device, "emulated NCCL: the end of a group that was not begun");
    if (--depth == 0) end_group();
    return kNcclSuccess;
  };
}

void put_calls(cuda::Nccl& nccl) {
  using cuda::Communicator;
  using cuda::Stream;
  nccl.send = [](const void* from, size_t count, int type, int peer, Communicator on, Stream stream) {
    return put("send", {CallKind::send, address_of(from), 0, count, type, 0, peer}, on, stream);
  };
  nccl.receive = [](void* to, size_t count, int type, int peer, Communicator on, Stream stream) {
    return put("receive", {CallKind::receive, 0, address_of(to), count, type, 0, peer}, on, stream);
  };
  nccl.reduce_scatter = [](const void* from, void* to, size_t count, int type, int operation, Communicator on,
                           Stream stream) {
    const Call call = {CallKind::reduce_scatter, address_of(from), address_of(to), count, type, operation, 0};
    return put("reduce-scatter", call, on, stream);
  };
  nccl.reduce = [](const void* from, void* to, size_t count, int type, int operation, int root,
                   Communicator on, Stream stream) {
    const Call call = {CallKind::reduce, address_of(from), address_of(to), count, type, operation, root};
    return put("reduce", call, on, stream);
  };
  nccl.all_gather = [](const void* from, void* to, size_t count, int type, Communicator on, Stream stream) {
    const Call call = {CallKind::all_gather, address_of(from), address_of(to), count, type, 0, 0};
    return put("all-gather", call, on, stream);
  };
  nccl.broadcast = [](const void* from, void* to, size_t count, int type, int root, Communicator on,
                      Stream stream) {
    const Call call = {CallKind::broadcast, address_of(from), address_of(to), count, type, 0, root};
    return put("broadcast", call, on, stream);
  };
}

}  // namespace

const cuda::Nccl& emulated_nccl() {
  static const cuda::Nccl table = [] {
    cuda::Nccl nccl;
    nccl.library = "the emulator";
    put_communicators(nccl);
    put_calls(nccl);
    return nccl;
  }();
  return table;
}

void set_joining_limit(std::chrono::milliseconds limit) { joining_limit_ms = limit.count(); }

}  // namespace gristmill::emulator
