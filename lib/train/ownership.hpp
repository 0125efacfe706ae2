#pragma once

// What the ranks own: each bucket of the parameters' arena is cut among all of them, so that an exchange of
// one bucket (ranks.hpp) sends as much to each rank. A rank has a range in every bucket.

#include <cstdint>
#include <functional>
#include <vector>

#include "model/parameters.hpp"
#include "runtime/backend.hpp"
#include "runtime/collective.hpp"

namespace gristmill::train {

/// Elements of one partial sum of a norm. Cuts lie at multiples of it, but for those at tensors that are kept
/// in one piece.
constexpr int64_t kBlock = runtime::kSquaresBlock;

/// The ranges of one bucket, together the whole of it.
struct Ownership {
  runtime::Range bucket;
  std::vector<runtime::Range> owned;  ///< by rank, elements of the arena; may be empty
  int first = 0;  ///< the rank whose range stands first: the next rank's follows, rank 0's
                  ///< the last one's

  /// The rank whose range is the `position`th.
  int rank_at(int position) const { return (first + position) % static_cast<int>(owned.size()); }
};

/// At [b] of a table's bucket b. The ranges of a bucket differ in size by less than a block and a tensor of
/// those that `is_whole` keeps in one piece; where there are such, each bucket begins with another rank, so
/// that the largest do not all meet the same one.
std::vector<Ownership> partition(const std::vector<model::ParameterInfo>& table, int ranks,
                                 const std::function<bool(const model::ParameterInfo&)>& is_whole);

/// What a rank owns, a range a bucket.
std::vector<runtime::Range> owned_by(const std::vector<Ownership>& ownership, int rank);

/// Where blocks begin in a range: [first, end) in steps of kBlock.
runtime::Range blocks_of(runtime::Range owned);

/// A range of a bucket, longer by the rest of the last block that begins in it.
runtime::Range with_whole_blocks(runtime::Range owned, runtime::Range bucket);

/// The part of a table that lies in some ranges of its arena, laid out anew without what is between them.
struct Part {
  std::vector<model::ParameterInfo> table;  ///< a tensor that is cut is a row of elements
  std::vector<int64_t> first;               ///< where each begins in the whole arena
};
Part part_of(const std::vector<model::ParameterInfo>& table, const std::vector<runtime::Range>& owned);

}  // namespace gristmill::train
