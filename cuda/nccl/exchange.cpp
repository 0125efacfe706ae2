#include "cuda/nccl/exchange.hpp"

#include <algorithm>
#include <span>
#include <vector>

#include "base/error.hpp"
#include "cuda/arguments.hpp"
#include "cuda/nccl/rank.hpp"
#include "cuda/tiles.hpp"

namespace gristmill::runtime::cuda {

namespace {

constexpr int64_t kCut = 64;  // pieces are multiples of it: aligned wherever their range is

size_t index(int64_t value) { return static_cast<size_t>(value); }

/// The `step`th piece of a range.
Range piece(Range range, int64_t step, int64_t length) {
  const int64_t first = std::min(range.size, step * length);
  return {range.first + first, std::min(length, range.size - first)};
}

int64_t steps_of(std::span<const Range> ranges, int64_t length) {
  int64_t steps = 0;
  for (const Range& range : ranges) steps = std::max(steps, (range.size + length - 1) / length);
  return steps;
}

bool equal_and_adjacent(std::span<const Range> ranges) {
  for (size_t q = 1; q < ranges.size(); ++q)
    if (ranges[q].first != ranges[q - 1].end() || ranges[q].size != ranges[0].size) return false;
  return ranges[0].size > 0;
}

class NcclExchange final : public ArenaExchange {
 public:
  NcclExchange(const Nccl& nccl, Gpu& gpu, Device& device, Collective& ranks, const NcclId& id,
               int64_t staging_bytes)
      : gpu_(gpu),
        device_(device),
        rank_(ranks.rank()),
        ranks_(ranks.size()),
        capacity_(std::max(kCut * ranks_, staging_bytes / static_cast<int64_t>(sizeof(float)))),
        staging_(gpu),
        nccl_(nccl, gpu, id, rank_, ranks_) {}

  void add_in_order(View sum, ConstView values, std::span<const Range> ranges, int64_t contributors) override;
  bool keeps_order() const override { return false; }
  void add(View sum, ConstView values, std::span<const Range> ranges) override;
  void share(View values, std::span<const Range> ranges) override;
  void wait() override;

 private:
  /// Memory that is given back after the rank has left, and with it all that used it.
  struct Staging {
    explicit Staging(Gpu& gpu_) : gpu(gpu_) {}
    ~Staging() {
      try {
        gpu.release(memory);
      } catch (const Error&) {
        return;  // the GPU was lost before, and whoever waited for it knows
      }
    }
    Staging(const Staging&) = delete;
    Staging& operator=(const Staging&) = delete;
    Gpu& gpu;
    void* memory = nullptr;
  };

  void check_ranges(std::span<const Range> ranges, ConstView arena) const;
  void check_sum(View sum, std::span<const Range> ranges, ConstView arena) const;
  float* staging() {
    if (staging_.memory == nullptr) staging_.memory = gpu_.allocate(index(capacity_) * sizeof(float));
    return static_cast<float*>(staging_.memory);
  }
  void add_part(View sum, const void* part);

  Gpu& gpu_;
  Device& device_;
  const int rank_, ranks_;
  const int64_t capacity_;  ///< floats on their way at once
  Staging staging_;
  NcclRank nccl_;
  bool begun_ = false;
  std::vector<View> shared_;  ///< what is written by what was begun
};

void NcclExchange::check_ranges(std::span<const Range> ranges, ConstView arena) const {
  if (static_cast<int>(ranges.size()) != ranks_) fail(Kind::internal, "one range a rank is needed");
  for (const Range& range : ranges) {
    if (range.first < 0 || range.size < 0 || range.end() > arena.cols)
      fail(Kind::internal, "a range beyond the arena");
  }
}

void NcclExchange::check_sum(View sum, std::span<const Range> ranges, ConstView arena) const {
  check_ranges(ranges, arena);
  if (sum.cols != ranges[index(rank_)].size) fail(Kind::internal, "a sum is as long as its range");
  if (sum.dtype != DType::f32 || arena.dtype != DType::f32)
    fail(Kind::internal, "sums over ranks are of f32");
}

void NcclExchange::add_part(View sum, const void* part) {
  const Rows out = {sum.data, 1, sum.cols, sum.cols, false};
  const ConstRows in = {part, 1, sum.cols, sum.cols, false};
  const Tiles tiles = tiled(1, sum.cols);
  gpu_.launch_on(nccl_.stream(), "elementary/axpy", tiles.shape, out, 1.0F, in, tiles.across);
}

void NcclExchange::add_in_order(View sum, ConstView values, std::span<const Range> ranges,
                                int64_t contributors) {
  check_sum(sum, ranges, values);
  const auto from = static_cast<int>(std::min<int64_t>(contributors, ranks_));
  const int64_t length = capacity_ / std::max(1, ranks_ - 1) / kCut * kCut;
  float* received = staging();
  const auto place_of = [&](int rank) { return received + (rank < rank_ ? rank : rank - 1) * length; };
  nccl_.begin("sending gradients");
  begun_ = true;
  for (int64_t step = 0; step < steps_of(ranges, length); ++step) {
    const Range mine = piece(ranges[index(rank_)], step, length);
    nccl_.group([&] {
      // Rank r turns to r + 1 first, so that not all turn to rank 0 at once.
      for (int turn = 1; turn < ranks_; ++turn) {
        const int to = (rank_ + turn) % ranks_, giver = (rank_ + ranks_ - turn) % ranks_;
        const Range theirs = piece(ranges[index(to)], step, length);
        if (rank_ < from && theirs.size > 0) {
          nccl_.expect(nccl_.nccl().send(values.col_range(theirs.first, theirs.size).data, index(theirs.size),
                                         kNcclFloat32, to, nccl_.communicator(), nccl_.stream()),
                       "sending gradients");
        }
        if (giver < from && mine.size > 0) {
          nccl_.expect(nccl_.nccl().receive(place_of(giver), index(mine.size), kNcclFloat32, giver,
                                            nccl_.communicator(), nccl_.stream()),
                       "receiving gradients");
        }
      }
    });
    if (mine.size == 0) continue;
    const View to = sum.col_range(mine.first - ranges[index(rank_)].first, mine.size);
    for (int rank = 0; rank < from; ++rank)
      add_part(to, rank == rank_ ? values.col_range(mine.first, mine.size).data : place_of(rank));
  }
}

void NcclExchange::add(View sum, ConstView values, std::span<const Range> ranges) {
  check_sum(sum, ranges, values);
  float* summed = staging();
  nccl_.begin("adding gradients over the ranks");
  begun_ = true;
  const Range own = ranges[index(rank_)];
  if (equal_and_adjacent(ranges) && own.size <= capacity_) {
    nccl_.expect(
        nccl_.nccl().reduce_scatter(values.col_range(ranges[0].first, 0).data, summed, index(own.size),
                                    kNcclFloat32, kNcclSum, nccl_.communicator(), nccl_.stream()),
        "adding gradients over the ranks");
    return add_part(sum, summed);
  }
  const int64_t length = capacity_ / kCut * kCut;
  for (int64_t step = 0; step < steps_of(ranges, length); ++step) {
    nccl_.group([&] {
      for (int owner = 0; owner < ranks_; ++owner) {
        const Range theirs = piece(ranges[index(owner)], step, length);
        if (theirs.size == 0) continue;
        nccl_.expect(nccl_.nccl().reduce(values.col_range(theirs.first, theirs.size).data,
                                         owner == rank_ ? summed : nullptr, index(theirs.size), kNcclFloat32,
                                         kNcclSum, owner, nccl_.communicator(), nccl_.stream()),
                     "adding gradients over the ranks");
      }
    });
    const Range mine = piece(own, step, length);
    if (mine.size > 0) add_part(sum.col_range(mine.first - own.first, mine.size), summed);
  }
}

void NcclExchange::share(View values, std::span<const Range> ranges) {
  check_ranges(ranges, values);
  nccl_.begin("sharing parameters");
  begun_ = true;
  shared_.push_back(values);
  const auto bytes_of = [&](const Range& range) { return index(range.size) * size_of(values.dtype); };
  const Range own = ranges[index(rank_)];
  if (equal_and_adjacent(ranges)) {
    return nccl_.expect(nccl_.nccl().all_gather(values.col_range(own.first, 0).data,
                                                values.col_range(ranges[0].first, 0).data, bytes_of(own),
                                                kNcclBytes, nccl_.communicator(), nccl_.stream()),
                        "sharing parameters");
  }
  nccl_.group([&] {
    for (int owner = 0; owner < ranks_; ++owner) {
      const Range theirs = ranges[index(owner)];
      void* data = values.col_range(theirs.first, 0).data;
      if (theirs.size == 0) continue;
      nccl_.expect(nccl_.nccl().broadcast(data, data, bytes_of(theirs), kNcclBytes, owner,
                                          nccl_.communicator(), nccl_.stream()),
                   "sharing parameters");
    }
  });
}

void NcclExchange::wait() {
  if (!begun_) return;
  nccl_.join();
  begun_ = false;
  // Whatever the backend kept of these weights is outdated.
  for (const View& view : shared_) device_.forget(view.data, index(view.size()) * size_of(view.dtype));
  shared_.clear();
}

}  // namespace

std::unique_ptr<ArenaExchange> open_nccl_exchange(const Nccl& nccl, Gpu& gpu, Device& device,
                                                  Collective& ranks, int64_t staging_bytes) {
  const auto ids = gather_texts(ranks, ranks.rank() == 0 ? to_text(new_id(nccl)) : "");
  return std::make_unique<NcclExchange>(nccl, gpu, device, ranks, id_of(ids[0]), staging_bytes);
}

}  // namespace gristmill::runtime::cuda
