#pragma once

// Basic blocks of a kernel, and from where control comes to each.

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "emulator/instruction.hpp"

namespace gristmill::emulator {

/// Nodes are numbered: first the blocks in the order of the code, then the jump tables.
class Flow {
 public:
  explicit Flow(const Kernel& kernel);

  uint32_t blocks() const { return static_cast<uint32_t>(begins_.size() - 1); }
  uint32_t nodes() const { return blocks() + tables_; }
  /// The instructions of a block: [begin, end).
  uint32_t begin(uint32_t block) const { return begins_[block]; }
  uint32_t end(uint32_t block) const { return begins_[block + 1]; }
  /// The nodes that control may come from.
  std::span<const uint32_t> before(uint32_t node) const {
    return std::span(sources_).subspan(first_[node], first_[node + 1] - first_[node]);
  }

 private:
  using Edge = std::pair<uint32_t, uint32_t>;  ///< from, to
  std::vector<bool> leaders(const Kernel& kernel) const;
  std::vector<Edge> edges(const Kernel& kernel) const;

  uint32_t tables_ = 0;
  std::vector<uint32_t> begins_;  ///< of each block, and the end of the last
  std::vector<uint32_t> first_, sources_;
};

}  // namespace gristmill::emulator
