#pragma once

// What launches change in global memory, so that they can be taken back: the pages that they write, as they
// were before. Two launches that begin with the same memory are compared by what they make of these pages.

#include <cstdint>
#include <map>

#include "emulator/memory.hpp"

namespace gristmill::emulator {

class Journal {
 public:
  /// Called before bytes of an allocation change. The allocation must outlive the journal's use.
  void keep(Allocation& allocation, uint64_t address, uint64_t bytes);

  using Pages = std::map<uint64_t, Allocation::Page>;  ///< by address
  Pages before() const;
  Pages now() const;
  /// Puts everything back and forgets it.
  void undo();

 private:
  struct Kept {
    Allocation* allocation = nullptr;
    Allocation::Page page;
  };
  std::map<uint64_t, Kept> kept_;
  uint64_t recent_ = UINT64_MAX;  ///< the page that was asked for last
};

/// Whether two launches on the same memory left it alike.
bool same_effect(const Journal::Pages& before_one, const Journal::Pages& after_one,
                 const Journal::Pages& before_other, const Journal::Pages& after_other);

}  // namespace gristmill::emulator
