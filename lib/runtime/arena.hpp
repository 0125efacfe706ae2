#pragma once

// One allocation for the parts of many owners: a list of what each wants, its sum for a plan, and the memory.

#include <cstdint>
#include <vector>

#include "runtime/device.hpp"

namespace gristmill::runtime {

/// What a scratch wants to have room for. Without a place it counts in sums alone: a plan needs no memory.
struct ArenaPart {
  Scratch* place;
  int64_t bytes;  ///< a multiple of 64, what devices align their own allocations to
};

/// A list of parts in the order of the layout.
class ArenaParts {
 public:
  void add(Scratch* place, DType type, int64_t elements);
  /// A member of `owner`, which may be null.
  template <class Owner>
  void add(Owner* owner, Scratch Owner::*member, DType type, int64_t elements) {
    add(owner == nullptr ? nullptr : &(owner->*member), type, elements);
  }
  int64_t bytes() const;
  /// Allocates all in one piece and places the parts in it; they must not be used when it is gone.
  Buffer allocate(Device& device) const;

 private:
  std::vector<ArenaPart> parts_;
};

}  // namespace gristmill::runtime
