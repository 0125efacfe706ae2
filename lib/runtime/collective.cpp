#include "runtime/collective.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/environment.hpp"
#include "base/error.hpp"
#include "base/str.hpp"
#include "runtime/mpi.hpp"

namespace gristmill::runtime {
namespace {

constexpr int64_t kPieces = int64_t{16} << 20;  ///< bytes that go out, and come in, at once
constexpr int64_t kLeast = int64_t{64} << 10;   ///< bytes of one message, however many ranks there are
constexpr uint64_t kLongestText = 1 << 20;

class LocalCollective final : public Collective {
 public:
  std::string name() const override { return "local"; }
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void exchange(const Parts& out, const Places& in) override {
    if (!out[0].empty()) std::memcpy(in[0].data(), out[0].data(), out[0].size());
  }
  void end_all(int) noexcept override {}
};

size_t index(int64_t value) { return static_cast<size_t>(value); }

/// A message of one fixed-size value to and from each rank.
std::vector<uint64_t> exchange_counts(Collective& ranks, uint64_t mine) {
  std::vector<uint64_t> counts(index(ranks.size()));
  const Collective::Parts out(counts.size(), std::as_bytes(std::span(&mine, 1)));
  Collective::Places in;
  for (auto& count : counts) in.push_back(std::as_writable_bytes(std::span(&count, 1)));
  ranks.exchange(out, in);
  return counts;
}

/// The `step`th piece of a range.
Range piece(Range range, int64_t step, int64_t length) {
  const int64_t first = std::min(range.size, step * length);
  return {range.first + first, std::min(length, range.size - first)};
}

/// Cuts ranges into pieces that together stay within kPieces; all ranks count the same number of steps.
struct Steps {
  Steps(int ranks, std::span<const Range> ranges, DType real) {
    length = std::max(kLeast, kPieces / ranks) / static_cast<int64_t>(size_of(real));
    for (const Range& range : ranges) count = std::max(count, (range.size + length - 1) / length);
  }
  int64_t length = 0, count = 0;
};

void check(const Collective& ranks, std::span<const Range> ranges, int64_t extent) {
  if (static_cast<int>(ranges.size()) != ranks.size()) fail(Kind::internal, "one range a rank is needed");
  for (const Range& range : ranges) {
    if (range.first < 0 || range.size < 0 || range.end() > extent)
      fail(Kind::internal, "a range beyond the arena");
  }
}

template <class Real>
void read(Device& device, ConstView from, Range range, std::vector<Real>& to) {
  to.resize(index(range.size));
  if (range.size > 0)
    device.read(to.data(), from.col_range(range.first, range.size).data, to.size() * sizeof(Real));
}

template <class Real>
void write(Device& device, View to, Range range, const std::vector<Real>& from) {
  if (range.size > 0)
    device.write(to.col_range(range.first, range.size).data, from.data(), from.size() * sizeof(Real));
}

template <class Real>
void add_in_order_of(Collective& ranks, Device& device, View sum, ConstView values,
                     std::span<const Range> ranges, int64_t contributors) {
  const auto count = index(ranks.size()), me = index(ranks.rank());
  std::vector<std::vector<Real>> sent(count), received(count);
  std::vector<Real> total;
  const Steps steps(ranks.size(), ranges, device.real());
  for (int64_t step = 0; step < steps.count; ++step) {
    Collective::Parts out(count);
    Collective::Places in(count);
    for (size_t q = 0; q < count && ranks.rank() < contributors; ++q) {
      read(device, values, piece(ranges[q], step, steps.length), sent[q]);
      out[q] = std::as_bytes(std::span(sent[q]));
    }
    const Range mine = piece(ranges[me], step, steps.length);
    for (size_t p = 0; p < index(contributors); ++p) {
      received[p].resize(index(mine.size));
      in[p] = std::as_writable_bytes(std::span(received[p]));
    }
    ranks.exchange(out, in);
    const Range place{mine.first - ranges[me].first, mine.size};
    read(device, sum, place, total);
    for (size_t p = 0; p < index(contributors); ++p) {
      for (size_t i = 0; i < total.size(); ++i) total[i] += received[p][i];
    }
    write(device, sum, place, total);
  }
}

template <class Real>
void share_of(Collective& ranks, Device& device, View values, std::span<const Range> ranges) {
  const auto count = index(ranks.size()), me = index(ranks.rank());
  std::vector<Real> sent;
  std::vector<std::vector<Real>> received(count);
  const Steps steps(ranks.size(), ranges, device.real());
  for (int64_t step = 0; step < steps.count; ++step) {
    read(device, values, piece(ranges[me], step, steps.length), sent);
    Collective::Parts out(count, std::as_bytes(std::span(sent)));
    Collective::Places in(count);
    out[me] = {};
    for (size_t p = 0; p < count; ++p) {
      if (p == me) continue;
      received[p].resize(index(piece(ranges[p], step, steps.length).size));
      in[p] = std::as_writable_bytes(std::span(received[p]));
    }
    ranks.exchange(out, in);
    for (size_t p = 0; p < count; ++p) {
      if (p != me) write(device, values, piece(ranges[p], step, steps.length), received[p]);
    }
  }
}

}  // namespace

std::unique_ptr<Collective> open_local_collective() { return std::make_unique<LocalCollective>(); }

std::optional<int64_t> launched_ranks() {
  // Slurm sets its own variables for plain tasks too, and PMI_SIZE is also MPICH's: who starts several
  // processes says how many, and who says so starts ranks.
  for (const char* size : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    if (const auto text = environment_variable(size)) {
      if (const auto count = parse_int(*text); count && *count > 0) return *count;
    }
  }
  if (environment_variable("PMIX_RANK") || environment_variable("PMI_RANK")) return 0;
  return std::nullopt;
}

std::unique_ptr<Collective> open_collective() {
  const auto launched = launched_ranks();
  if (!launched || *launched == 1) return open_local_collective();
  return open_mpi_collective(*launched);
}

std::vector<double> gather_values(Collective& ranks, std::span<const double> mine) {
  const auto counts = exchange_counts(ranks, mine.size());
  uint64_t total = 0;
  for (const uint64_t count : counts) total += count;
  std::vector<double> all(total);
  const Collective::Parts out(counts.size(), std::as_bytes(mine));
  Collective::Places in;
  uint64_t at = 0;
  for (const uint64_t count : counts) {
    in.push_back(std::as_writable_bytes(std::span(all).subspan(at, count)));
    at += count;
  }
  ranks.exchange(out, in);
  return all;
}

std::vector<std::string> gather_texts(Collective& ranks, const std::string& mine) {
  const std::string text = mine.substr(0, kLongestText);
  const auto counts = exchange_counts(ranks, text.size());
  std::vector<std::string> texts;
  for (const uint64_t count : counts) texts.emplace_back(std::min(count, kLongestText), '\0');
  const Collective::Parts out(counts.size(), std::as_bytes(std::span(text)));
  Collective::Places in;
  for (auto& place : texts) in.push_back(std::as_writable_bytes(std::span(place)));
  ranks.exchange(out, in);
  return texts;
}

void add_in_order(Collective& ranks, Device& device, View sum, ConstView values,
                  std::span<const Range> ranges, int64_t contributors) {
  check(ranks, ranges, values.cols);
  contributors = std::min<int64_t>(contributors, ranks.size());
  if (sum.cols != ranges[index(ranks.rank())].size) fail(Kind::internal, "a sum is as long as its range");
  if (device.real() == DType::f64) {
    add_in_order_of<double>(ranks, device, sum, values, ranges, contributors);
  } else {
    add_in_order_of<float>(ranks, device, sum, values, ranges, contributors);
  }
}

void share(Collective& ranks, Device& device, View values, std::span<const Range> ranges) {
  check(ranks, ranges, values.cols);
  if (ranks.size() == 1) return;
  if (device.real() == DType::f64) {
    share_of<double>(ranks, device, values, ranges);
  } else {
    share_of<float>(ranks, device, values, ranges);
  }
}

template <class Real>
std::vector<Real> collect(Collective& ranks, Device& device, ConstView mine, std::span<const int64_t> sizes) {
  const auto count = index(ranks.size()), me = index(ranks.rank());
  if (sizes.size() != count || (mine ? mine.size() : 0) != sizes[me])
    fail(Kind::internal, "a part of a tensor has another size than is said");
  std::vector<Real> all, sent;
  if (ranks.rank() == 0) all.resize(index(std::accumulate(sizes.begin(), sizes.end(), int64_t{0})));
  read(device, mine, {0, sizes[me]}, sent);
  Collective::Parts out(count);
  Collective::Places in(count);
  out[0] = std::as_bytes(std::span(sent));
  size_t at = 0;
  for (size_t p = 0; p < count && ranks.rank() == 0; ++p) {
    in[p] = std::as_writable_bytes(std::span(all).subspan(at, index(sizes[p])));
    at += index(sizes[p]);
  }
  ranks.exchange(out, in);
  return all;
}

template std::vector<float> collect<float>(Collective&, Device&, ConstView, std::span<const int64_t>);
template std::vector<double> collect<double>(Collective&, Device&, ConstView, std::span<const int64_t>);

}  // namespace gristmill::runtime
