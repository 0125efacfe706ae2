#include "train/ownership.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace gristmill::train {

using model::ParameterInfo;
using runtime::Range;

namespace {

static_assert(model::kBucketAlignment % kBlock == 0, "a block must not reach into the next bucket");

constexpr int64_t kAlignment = 16;  // elements, as in the model's table

int64_t rounded_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

/// A whole tensor's first element and that of what follows it.
using Whole = std::pair<int64_t, int64_t>;

/// Where the bucket is cut behind `share` of its elements: at a block, or at the nearer end of a whole
/// tensor.
int64_t cut(Range bucket, int64_t share, const std::vector<Whole>& whole) {
  const int64_t at = std::min(bucket.end(), bucket.first + rounded_up(share, kBlock));
  for (const auto& [first, next] : whole) {
    if (first < at && at < next) return at - first < next - at ? first : next;
  }
  return at;
}

Ownership shares_of(Range bucket, int ranks, int first, const std::vector<Whole>& whole) {
  Ownership result{bucket, std::vector<Range>(static_cast<size_t>(ranks)), first};
  int64_t begin = bucket.first;
  for (int position = 0; position < ranks; ++position) {
    const int64_t share = bucket.size * (position + 1) / ranks;
    const int64_t end = position + 1 == ranks ? bucket.end() : std::max(begin, cut(bucket, share, whole));
    result.owned[static_cast<size_t>(result.rank_at(position))] = {begin, end - begin};
    begin = end;
  }
  return result;
}

}  // namespace

std::vector<Ownership> partition(const std::vector<ParameterInfo>& table, int ranks,
                                 const std::function<bool(const ParameterInfo&)>& is_whole) {
  const auto buckets = model::buckets_of(table);
  std::vector<std::vector<Whole>> whole(buckets.size());
  for (const auto& info : table) {
    if (is_whole(info))
      whole[static_cast<size_t>(info.bucket)].emplace_back(info.offset,
                                                           info.offset + rounded_up(info.size(), kAlignment));
  }
  const bool turns = std::any_of(whole.begin(), whole.end(), [](const auto& of) { return !of.empty(); });
  std::vector<Ownership> result;
  for (size_t b = 0; b < buckets.size(); ++b) {
    const int first = turns ? static_cast<int>(b) % ranks : 0;
    result.push_back(shares_of({buckets[b].first, buckets[b].size}, ranks, first, whole[b]));
  }
  return result;
}

std::vector<Range> owned_by(const std::vector<Ownership>& ownership, int rank) {
  std::vector<Range> owned;
  for (const auto& bucket : ownership) owned.push_back(bucket.owned.at(static_cast<size_t>(rank)));
  return owned;
}

Range blocks_of(Range owned) {
  const int64_t first = rounded_up(owned.first, kBlock);
  return {first, std::max<int64_t>(0, rounded_up(owned.end(), kBlock) - first)};
}

Range with_whole_blocks(Range owned, Range bucket) {
  const Range blocks = blocks_of(owned);
  if (blocks.size > 0) owned.size = std::min(bucket.end(), blocks.end()) - owned.first;
  return owned;
}

Part part_of(const std::vector<ParameterInfo>& table, const std::vector<Range>& owned) {
  Part part;
  int64_t base = 0;  // where the range begins in the new layout
  for (const Range range : owned) {
    for (const ParameterInfo& tensor : table) {
      const int64_t first = std::max(tensor.offset, range.first),
                    size = std::min(tensor.offset + tensor.size(), range.end()) - first;
      if (size <= 0) continue;
      ParameterInfo info = tensor;
      if (size < tensor.size()) {
        info.shape = {size};
        info.rows = 1;
        info.cols = size;
      }
      info.offset = base + first - range.first;
      part.table.push_back(std::move(info));
      part.first.push_back(first);
    }
    base += rounded_up(range.size, kAlignment);
  }
  return part;
}

}  // namespace gristmill::train
