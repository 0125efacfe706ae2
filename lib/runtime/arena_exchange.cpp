#include "runtime/arena_exchange.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/str.hpp"
#include "runtime/backend.hpp"
#include "runtime/neighbours.hpp"

namespace gristmill::runtime {

namespace {

constexpr int64_t kPieces = int64_t{2} << 20;  ///< bytes that go out, and come in, at once
constexpr int64_t kLeast = int64_t{64} << 10;  ///< bytes of one message, however many ranks there are

size_t index(int64_t value) { return static_cast<size_t>(value); }

/// The `step`th piece of a range.
Range piece(Range range, int64_t step, int64_t length) {
  const int64_t first = std::min(range.size, step * length);
  return {range.first + first, std::min(length, range.size - first)};
}

/// Cuts ranges into pieces that together stay within kPieces; all ranks count the same number of steps.
struct Steps {
  Steps(int ranks, std::span<const Range> ranges, DType type) {
    length = std::max(kLeast, kPieces / std::max(1, ranks - 1)) / static_cast<int64_t>(size_of(type));
    for (const Range& range : ranges) count = std::max(count, (range.size + length - 1) / length);
  }
  int64_t length = 0, count = 0;
};

/// By way of the host's memory. What was allocated once is kept, so that an exchange of gradients costs
/// little more than reading and writing them.
class HostArenaExchange final : public ArenaExchange {
 public:
  HostArenaExchange(Collective& ranks, Device& device)
      : ranks_(&ranks), device_(&device), sent_(index(ranks.size())), received_(index(ranks.size())) {}

  void add_in_order(View sum, ConstView values, std::span<const Range> ranges, int64_t contributors) override;
  bool keeps_order() const override { return true; }
  void add(View sum, ConstView values, std::span<const Range> ranges) override {
    add_in_order(sum, values, ranges, ranks_->size());
  }
  void share(View values, std::span<const Range> ranges) override;
  void wait() override {}

 private:
  void check(std::span<const Range> ranges, ConstView arena) const;
  static std::span<std::byte> place(std::vector<std::byte>& buffer, Range range, DType type);
  std::span<const std::byte> read(ConstView arena, Range range, std::vector<std::byte>& buffer);
  void add_received(View sum, std::span<const std::byte> received);

  Collective* ranks_;
  Device* device_;
  std::vector<std::vector<std::byte>> sent_, received_;  ///< a piece for each rank
  Buffer added_;                                         ///< what is added to a sum, on the device
};

void HostArenaExchange::check(std::span<const Range> ranges, ConstView arena) const {
  if (static_cast<int>(ranges.size()) != ranks_->size()) fail(Kind::internal, "one range a rank is needed");
  for (const Range& range : ranges) {
    if (range.first < 0 || range.size < 0 || range.end() > arena.cols)
      fail(Kind::internal, "a range beyond the arena");
  }
}

/// Room for a range in a buffer, which only grows.
std::span<std::byte> HostArenaExchange::place(std::vector<std::byte>& buffer, Range range, DType type) {
  const size_t bytes = index(range.size) * size_of(type);
  if (buffer.size() < bytes) buffer.resize(bytes);
  return std::span(buffer).first(bytes);
}

std::span<const std::byte> HostArenaExchange::read(ConstView arena, Range range,
                                                   std::vector<std::byte>& buffer) {
  const auto to = place(buffer, range, arena.dtype);
  if (!to.empty()) device_->read(to.data(), arena.col_range(range.first, range.size).data, to.size());
  return to;
}

void HostArenaExchange::add_received(View sum, std::span<const std::byte> received) {
  if (!added_ || added_.view().cols < sum.cols) added_ = Buffer(*device_, device_->real(), 1, sum.cols);
  const View part = added_.view().col_range(0, sum.cols);
  device_->write(part.data, received.data(), received.size());
  device_->backend().axpy(sum, 1, part);
}

void HostArenaExchange::add_in_order(View sum, ConstView values, std::span<const Range> ranges,
                                     int64_t contributors) {
  check(ranges, values);
  const auto count = index(ranks_->size()), me = index(ranks_->rank());
  const auto from = index(std::min<int64_t>(contributors, ranks_->size()));
  if (sum.cols != ranges[me].size) fail(Kind::internal, "a sum is as long as its range");
  const Steps steps(ranks_->size(), ranges, values.dtype);
  for (int64_t step = 0; step < steps.count; ++step) {
    Collective::Parts out(count);
    Collective::Places in(count);
    for (size_t q = 0; q < count && me < from; ++q)
      if (q != me) out[q] = read(values, piece(ranges[q], step, steps.length), sent_[q]);
    const Range mine = piece(ranges[me], step, steps.length);
    for (size_t p = 0; p < from; ++p)
      if (p != me) in[p] = place(received_[p], mine, values.dtype);
    ranks_->exchange(out, in);
    if (mine.size == 0) continue;
    const View to = sum.col_range(mine.first - ranges[me].first, mine.size);
    for (size_t p = 0; p < from; ++p) {
      if (p != me) add_received(to, in[p]);
      if (p == me) device_->backend().axpy(to, 1, values.col_range(mine.first, mine.size));
    }
  }
}

void HostArenaExchange::share(View values, std::span<const Range> ranges) {
  check(ranges, values);
  const auto count = index(ranks_->size()), me = index(ranks_->rank());
  const Steps steps(ranks_->size(), ranges, values.dtype);
  for (int64_t step = 0; step < steps.count && count > 1; ++step) {
    Collective::Parts out(count, read(values, piece(ranges[me], step, steps.length), sent_[me]));
    Collective::Places in(count);
    out[me] = {};
    for (size_t p = 0; p < count; ++p)
      if (p != me) in[p] = place(received_[p], piece(ranges[p], step, steps.length), values.dtype);
    ranks_->exchange(out, in);
    for (size_t p = 0; p < count; ++p) {
      const Range theirs = piece(ranges[p], step, steps.length);
      if (p != me && theirs.size > 0)
        device_->write(values.col_range(theirs.first, theirs.size).data, in[p].data(), in[p].size());
    }
  }
}

/// Why the ranks' devices have no way of their own between all of them; empty if they have.
std::string obstacle_of(const std::vector<std::string>& libraries, const std::vector<std::string>& places) {
  for (size_t rank = 0; rank < libraries.size(); ++rank) {
    if (libraries[rank].empty() || libraries[rank] != libraries[0])
      return str("the devices of rank 0 and rank ", rank, " share no library for it");
    for (size_t other = 0; other < rank; ++other)
      if (!places[rank].empty() && places[rank] == places[other])
        return str("ranks ", other, " and ", rank, " are on the same GPU");
  }
  return "";
}

}  // namespace

std::unique_ptr<ArenaExchange> open_arena_exchange(Collective& ranks, Device& device) {
  if (ranks.size() > 1) {
    const DeviceLink link = device.link();
    const std::string place = link.place.empty() ? "" : str(this_process().machine, " ", link.place);
    const auto libraries = gather_texts(ranks, link.library), places = gather_texts(ranks, place);
    const std::string obstacle = obstacle_of(libraries, places);
    if (obstacle.empty()) {
      log::debug("gradients travel by ", link.library);
      return device.open_link(ranks);
    }
    const auto absences = gather_texts(ranks, link.absence);
    const auto absence =
        std::find_if(absences.begin(), absences.end(), [](const auto& text) { return !text.empty(); });
    if (absence != absences.end() || !link.library.empty())
      log::info("gradients travel by way of the host's memory: ",
                absence == absences.end() ? obstacle : *absence);
  }
  return std::make_unique<HostArenaExchange>(ranks, device);
}

}  // namespace gristmill::runtime
