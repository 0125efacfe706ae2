#pragma once

// Flat arenas over the ranks: sums of the ranks' parts, and each range from its owner to all.
//
// The work may go on beside the device's: between a call and wait() a device computes what does not touch the
// arenas named. Where the device has no way of its own to the other ranks the arenas travel through host
// memory, in pieces that stay in the processor's cache between being received and being added, and each call
// is done when it returns.

#include <cstdint>
#include <memory>
#include <span>

#include "runtime/collective.hpp"
#include "runtime/device.hpp"

namespace gristmill::runtime {

/// The ranks call a method together. Until wait(), `values` must not be written and `sum` not read: an
/// exchange may still be under way when its call returns. It takes its values as they stand behind what was
/// enqueued on the device before the call, and exchanges come after one another.
class ArenaExchange {
 public:
  virtual ~ArenaExchange() = default;

  /// sum[i] += rank 0's values[ranges[me].first + i], then rank 1's and so on, of the first `contributors`
  /// ranks. `values` is 1 × n and ranges[q], which may overlap, is what rank q wants; `sum` is
  /// 1 × ranges[me].size.
  virtual void add_in_order(View sum, ConstView values, std::span<const Range> ranges,
                            int64_t contributors) = 0;

  /// Whether add() is add_in_order(): there is no cheaper order.
  virtual bool keeps_order() const = 0;
  /// The same of all ranks, added in an order of the library's: cheaper where that has one.
  virtual void add(View sum, ConstView values, std::span<const Range> ranges) = 0;

  /// Fills `values` (1 × n, of any type) with every range from the rank it belongs to: values[ranges[q]] of
  /// rank q. The ranges do not overlap.
  virtual void share(View values, std::span<const Range> ranges) = 0;

  /// What is enqueued on the device from here on comes after all exchanges that were begun.
  virtual void wait() = 0;
};

/// The way of the arenas between these ranks. Both arguments must outlive it, and all ranks call it together.
std::unique_ptr<ArenaExchange> open_arena_exchange(Collective& ranks, Device& device);

}  // namespace gristmill::runtime
