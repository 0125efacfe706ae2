#pragma once

// Flat arenas over the ranks: sums in the order of ranks, and each range from its owner to all.
//
// Both travel in pieces that stay in the processor's cache between being received and being added, and the
// memory for them is allocated once: an exchange of gradients costs little more than reading and writing
// them.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/collective.hpp"
#include "runtime/device.hpp"

namespace gristmill::runtime {

/// The ranks call a method together. Both arguments of the constructor must outlive it.
class ArenaExchange {
 public:
  ArenaExchange(Collective& ranks, Device& device);

  /// sum[i] += rank 0's values[ranges[me].first + i], then rank 1's and so on, of the first `contributors`
  /// ranks. `values` is 1 × n and ranges[q], which may overlap, is what rank q wants; `sum` is
  /// 1 × ranges[me].size.
  void add_in_order(View sum, ConstView values, std::span<const Range> ranges, int64_t contributors);

  /// Fills `values` (1 × n) with every range from the rank it belongs to: values[ranges[q]] of rank q.
  void share(View values, std::span<const Range> ranges);

 private:
  struct Steps;
  void check(std::span<const Range> ranges, ConstView arena) const;
  std::span<std::byte> place(std::vector<std::byte>& buffer, Range range);
  std::span<const std::byte> read(ConstView arena, Range range, std::vector<std::byte>& buffer);
  void add(View sum, std::span<const std::byte> received);

  Collective* ranks_;
  Device* device_;
  std::vector<std::vector<std::byte>> sent_, received_;  ///< a piece for each rank
  Buffer added_;                                         ///< what is added to a sum, on the device
};

}  // namespace gristmill::runtime
