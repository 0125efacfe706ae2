#include "cuda/nccl/rank.hpp"

#include <cstring>
#include <exception>

#include "base/error.hpp"
#include "base/str.hpp"

namespace gristmill::runtime::cuda {

NcclRank::NcclRank(const Nccl& nccl, Gpu& gpu, const NcclId& id, int rank, int ranks)
    : nccl_(nccl), gpu_(gpu), exceptions_(std::uncaught_exceptions()) {
  gpu_.begin_work("joining the other ranks");
  check(nccl_, nccl_.init_rank(&communicator_, ranks, id, rank),
        str("joining the other ranks, as rank ", rank, " of ", ranks));
  const Driver& driver = gpu_.driver();
  check(driver, driver.stream_create(&stream_, kStreamNonBlocking), "opening a stream for exchanges");
  check(driver, driver.event_create(&reached_, kEventWithoutTime), "opening an event");
  check(driver, driver.event_create(&done_, kEventWithoutTime), "opening an event");
}

NcclRank::~NcclRank() {
  const Driver& driver = gpu_.driver();
  // The others may never come to what is under way here.
  if (std::uncaught_exceptions() > exceptions_) give_up();
  try {
    gpu_.begin_work("leaving the other ranks");
    driver.stream_synchronize(stream_);
    if (communicator_ != nullptr) nccl_.destroy(communicator_);
  } catch (const Error&) {
    give_up();  // the GPU was lost before, and whoever waited for it knows
  }
  try {
    driver.event_destroy(reached_);
    driver.event_destroy(done_);
    driver.stream_destroy(stream_);
  } catch (const Error&) {
    return;  // as above
  }
}

void NcclRank::give_up() noexcept {
  try {
    if (communicator_ != nullptr) nccl_.abort(communicator_);
  } catch (const Error&) {
    communicator_ = nullptr;
  }
  communicator_ = nullptr;
}

void NcclRank::begin(const char* what) {
  gpu_.begin_work(what);
  NcclResult error = kNcclSuccess;
  expect(nccl_.async_error(communicator_, &error), what);
  if (error != kNcclInProgress) expect(error, what);
  const Driver& driver = gpu_.driver();
  check(driver, driver.event_record(reached_, gpu_.stream()), what);
  check(driver, driver.stream_wait_event(stream_, reached_, 0), what);
}

void NcclRank::join() {
  gpu_.begin_work("joining the exchanges");
  const Driver& driver = gpu_.driver();
  check(driver, driver.event_record(done_, stream_), "joining the exchanges");
  check(driver, driver.stream_wait_event(gpu_.stream(), done_, 0), "joining the exchanges");
}

void NcclRank::group(const std::function<void()>& calls) {
  expect(nccl_.group_start(), "a group of exchanges");
  calls();
  expect(nccl_.group_end(), "a group of exchanges");
}

void NcclRank::synchronize() {
  gpu_.begin_work("waiting for the exchanges");
  check(gpu_.driver(), gpu_.driver().stream_synchronize(stream_), "waiting for the exchanges");
}

NcclId new_id(const Nccl& nccl) {
  NcclId id = {};
  check(nccl, nccl.unique_id(&id), "opening a communicator");
  return id;
}

std::string to_text(const NcclId& id) {
  std::string text;
  for (const char byte : id.bytes) {
    const auto value = static_cast<unsigned char>(byte);
    for (const unsigned half : {value / 16U, value % 16U}) text += "0123456789abcdef"[half];
  }
  return text;
}

NcclId id_of(const std::string& text) {
  NcclId id = {};
  const auto half = [&](size_t at) {
    const size_t digit =
        at < text.size() ? std::string("0123456789abcdef").find(text[at]) : std::string::npos;
    if (digit == std::string::npos) fail(Kind::device, "what rank 0 sent is no id of a communicator");
    return static_cast<unsigned>(digit);
  };
  for (size_t i = 0; i < sizeof id.bytes; ++i)
    id.bytes[i] = static_cast<char>(half(2 * i) * 16 + half(2 * i + 1));
  return id;
}

}  // namespace gristmill::runtime::cuda
