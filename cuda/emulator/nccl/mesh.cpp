#include "emulator/nccl/mesh.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "base/str.hpp"

namespace gristmill::emulator {

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kBetweenTries = std::chrono::milliseconds(5);
constexpr int kPollMilliseconds = 200;

/// Whom a rank takes itself for; the first words on each connection, in both directions.
struct Greeting {
  int32_t size = 0, rank = 0;
};

struct Address {
  sockaddr_un value = {};
  socklen_t length = 0;
};

/// A name in the kernel's own table of sockets: no file is left behind.
Address address_of(const std::string& name) {
  Address address;
  address.value.sun_family = AF_UNIX;
  const size_t bytes = std::min(name.size(), sizeof(address.value.sun_path) - 1);
  std::memcpy(address.value.sun_path + 1, name.data(), bytes);
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + bytes);
  return address;
}

int new_socket() {
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) fail(Kind::device, "emulated NCCL: no socket: ", std::strerror(errno));
  return descriptor;
}

const sockaddr* generic(const Address& address) { return reinterpret_cast<const sockaddr*>(&address.value); }

bool readable(int descriptor, Clock::time_point until) {
  while (Clock::now() < until) {
    pollfd waiting = {descriptor, POLLIN, 0};
    if (::poll(&waiting, 1, kPollMilliseconds) > 0) return true;
  }
  return false;
}

/// Whether so many bytes came before the limit.
bool read_all(int descriptor, void* to, size_t bytes, Clock::time_point until) {
  auto* at = static_cast<std::byte*>(to);
  while (bytes > 0) {
    if (!readable(descriptor, until)) return false;
    const auto count = ::recv(descriptor, at, bytes, 0);
    if (count <= 0) return false;
    at += count;
    bytes -= static_cast<size_t>(count);
  }
  return true;
}

const char* name_of_kind(CallKind kind) {
  switch (kind) {
    case CallKind::send:
      return "send";
    case CallKind::receive:
      return "receive";
    case CallKind::reduce_scatter:
      return "reduce-scatter";
    case CallKind::reduce:
      return "reduce";
    case CallKind::all_gather:
      return "all-gather";
    case CallKind::broadcast:
      return "broadcast";
  }
  return "nothing known";
}

}  // namespace

std::string to_string(const Announcement& call) {
  const bool rooted = call.kind == CallKind::reduce || call.kind == CallKind::broadcast;
  return str(name_of_kind(call.kind), " of ", call.count, " of type ", call.type,
             rooted ? str(" with root ", call.root) : std::string(),
             call.operation != 0 ? str(" by operation ", call.operation) : std::string());
}

std::string Mesh::name_of(int rank) const { return str("gristmill-nccl-", id_, "-", rank); }

void Mesh::fail_without(int peer) const {
  if (closed_) fail(Kind::device, "emulated NCCL: the communicator of rank ", rank_, " was ended");
  fail(Kind::device, "emulated NCCL: rank ", peer, " is gone (seen by rank ", rank_, " of ", size_,
       "); its own message says why; go on from the last checkpoint, if there is one, with --resume");
}

Mesh::Mesh(const std::string& id, int rank, int size, std::chrono::milliseconds limit)
    : id_(id), rank_(rank), size_(size), sockets_(static_cast<size_t>(size), -1) {
  const auto until = Clock::now() + limit;
  const Address mine = address_of(name_of(rank));
  const int listener = new_socket();
  try {
    if (::bind(listener, generic(mine), mine.length) != 0 || ::listen(listener, size) != 0)
      fail(Kind::device, "emulated NCCL: rank ", rank, " is there already: ", std::strerror(errno));
    for (int peer = 0; peer < rank; ++peer) connect_to(peer, until);
    for (int peer = 0; peer < rank; ++peer) {
      Greeting theirs;
      if (!read_all(sockets_[static_cast<size_t>(peer)], &theirs, sizeof theirs, until)) fail_without(peer);
      check_greeting(&theirs, peer);
    }
    for (int left = size - 1 - rank; left > 0; --left) accept_one(listener, until);
  } catch (...) {
    ::close(listener);
    for (const int socket : sockets_)
      if (socket >= 0) ::close(socket);
    throw;
  }
  ::close(listener);
}

Mesh::~Mesh() {
  for (const int socket : sockets_)
    if (socket >= 0) ::close(socket);
}

void Mesh::close() noexcept {
  closed_ = true;
  for (const int socket : sockets_)
    if (socket >= 0) ::shutdown(socket, SHUT_RDWR);
}

void Mesh::check_greeting(const void* bytes, int peer) const {
  Greeting theirs;
  std::memcpy(&theirs, bytes, sizeof theirs);
  if (theirs.size == size_ && theirs.rank >= 0 && theirs.rank < size_) return;
  fail(Kind::device, "emulated NCCL: rank ", rank_, " counts ", size_, " ranks, rank ",
       peer < 0 ? theirs.rank : peer, " counts ", theirs.size);
}

void Mesh::connect_to(int peer, Clock::time_point until) {
  const Address theirs = address_of(name_of(peer));
  const int socket = sockets_[static_cast<size_t>(peer)] = new_socket();
  while (::connect(socket, generic(theirs), theirs.length) != 0) {
    if (Clock::now() >= until)
      fail(Kind::device, "emulated NCCL: rank ", rank_, " waited in vain for rank ", peer);
    std::this_thread::sleep_for(kBetweenTries);
  }
  const Greeting mine = {size_, rank_};
  if (::send(socket, &mine, sizeof mine, MSG_NOSIGNAL) != sizeof mine) fail_without(peer);
}

void Mesh::accept_one(int listener, Clock::time_point until) {
  const int socket = readable(listener, until) ? ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC) : -1;
  if (socket < 0) {
    const auto missing = std::find(sockets_.begin() + rank_ + 1, sockets_.end(), -1) - sockets_.begin();
    fail(Kind::device, "emulated NCCL: rank ", rank_, " waited in vain for rank ", missing);
  }
  Greeting theirs;
  const Greeting mine = {size_, rank_};
  const bool greeted = read_all(socket, &theirs, sizeof theirs, until) &&
                       ::send(socket, &mine, sizeof mine, MSG_NOSIGNAL) == sizeof mine;
  const bool fits = greeted && theirs.size == size_ && theirs.rank > rank_ && theirs.rank < size_;
  if (fits) {
    sockets_[static_cast<size_t>(theirs.rank)] = socket;
    return;
  }
  ::close(socket);
  if (!greeted) fail(Kind::device, "emulated NCCL: a rank was gone before rank ", rank_, " had greeted it");
  check_greeting(&theirs, -1);
  fail(Kind::device, "emulated NCCL: rank ", theirs.rank, " is not to call rank ", rank_);
}

/// The messages with one peer, and how far they are.
struct Mesh::Lane {
  int peer = 0, socket = -1;
  std::vector<Message*> messages = {};
  size_t sending = 0, sent = 0;  ///< message, and bytes of its announcement and content
  size_t receiving = 0, received = 0;
  bool deaf = false;  ///< the peer takes nothing more; what it said before can still be read
  Announcement heard = {};

  bool wants_to_send() const { return !deaf && sending < messages.size(); }
  bool wants_to_receive() const { return receiving < messages.size(); }
  bool done() const { return sending == messages.size() && receiving == messages.size(); }
};

void Mesh::send_some(Lane& lane) {
  while (lane.wants_to_send()) {
    const Message& message = *lane.messages[lane.sending];
    constexpr size_t kHead = sizeof(Announcement);
    const bool head = lane.sent < kHead;
    const auto* from = head ? reinterpret_cast<const std::byte*>(&message.mine) + lane.sent
                            : message.out.data() + (lane.sent - kHead);
    const size_t left = head ? kHead - lane.sent : kHead + message.out.size() - lane.sent;
    if (left > 0) {
      const auto count = ::send(lane.socket, from, left, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (count <= 0) {
        lane.deaf = true;
        return;
      }
      lane.sent += static_cast<size_t>(count);
    }
    if (lane.sent < kHead + message.out.size()) continue;
    ++lane.sending;
    lane.sent = 0;
  }
}

void Mesh::receive_some(Lane& lane) {
  while (lane.wants_to_receive()) {
    Message& message = *lane.messages[lane.receiving];
    constexpr size_t kHead = sizeof(Announcement);
    const bool head = lane.received < kHead;
    auto* to = head ? reinterpret_cast<std::byte*>(&lane.heard) + lane.received
                    : message.in.data() + (lane.received - kHead);
    const size_t left = head ? kHead - lane.received : kHead + message.in.size() - lane.received;
    if (left > 0) {
      const auto count = ::recv(lane.socket, to, left, MSG_DONTWAIT);
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (count <= 0) fail_without(lane.peer);
      lane.received += static_cast<size_t>(count);
    }
    if (head && lane.received == kHead && lane.heard != message.expected) {
      fail(Kind::device, "emulated NCCL: the ranks disagree: rank ", rank_, " calls ",
           to_string(message.mine), ", rank ", lane.peer, " calls ", to_string(lane.heard));
    }
    if (lane.received < kHead + message.in.size()) continue;
    ++lane.receiving;
    lane.received = 0;
  }
}

void Mesh::exchange(std::vector<Message*> messages) {
  std::vector<Lane> lanes;
  for (int peer = 0; peer < size_; ++peer) {
    Lane lane = {peer, sockets_[static_cast<size_t>(peer)]};
    std::copy_if(messages.begin(), messages.end(), std::back_inserter(lane.messages),
                 [&](const Message* message) { return message->peer == peer; });
    if (!lane.messages.empty()) lanes.push_back(std::move(lane));
  }
  while (true) {
    std::vector<pollfd> waiting;
    for (Lane& lane : lanes) {
      send_some(lane);
      receive_some(lane);
      if (lane.done()) continue;
      if (closed_ || (lane.deaf && !lane.wants_to_receive())) fail_without(lane.peer);
      const int events = (lane.wants_to_receive() ? POLLIN : 0) | (lane.wants_to_send() ? POLLOUT : 0);
      waiting.push_back({lane.socket, static_cast<short>(events), 0});
    }
    if (waiting.empty()) return;
    ::poll(waiting.data(), waiting.size(), kPollMilliseconds);
  }
}

}  // namespace gristmill::emulator
