// Live ranges of values, and places for them.
//
// A range reaches from the first to the last instruction at which a value is needed, loops included. They are
// found register by register: from each use that no definition of its basic block precedes, backward over the
// blocks that lead there until one defines it, so that the work is the size of the ranges and not, as with
// sets that are passed around until nothing changes, that of the code times the depth of its loops. A jump
// table is a node of its own between the blocks that jump through it and its targets. A guarded definition
// keeps what was there before. Lanes that are elsewhere in the code share the place but not the part of it,
// so that what holds for one thread holds for a warp.

#include <algorithm>
#include <cstddef>

#include "base/error.hpp"
#include "emulator/decode/draft.hpp"
#include "emulator/decode/flow.hpp"

namespace gristmill::emulator {
namespace {

constexpr uint32_t kLargestFile = 8 << 20;
constexpr uint64_t kMostSteps = uint64_t{1} << 27;  // a few seconds of the host; real kernels need 1 % of it

struct Span {
  uint32_t first = UINT32_MAX, last = 0;
  void cover(uint32_t at) {
    first = std::min(first, at);
    last = std::max(last, at);
  }
};

/// Which blocks use or define which register, sorted by register.
class Mentions {
 public:
  void add(uint32_t value, uint32_t block) { pairs_.push_back({value, block}); }
  void sort(uint32_t values) {
    begin_.assign(values + 1, 0);
    for (const Pair& pair : pairs_) ++begin_[pair.value + 1];
    for (uint32_t v = 0; v < values; ++v) begin_[v + 1] += begin_[v];
    blocks_.resize(pairs_.size());
    std::vector<uint32_t> next = begin_;
    for (const Pair& pair : pairs_) blocks_[next[pair.value]++] = pair.block;
  }
  std::span<const uint32_t> of(uint32_t value) const {
    return std::span(blocks_).subspan(begin_[value], begin_[value + 1] - begin_[value]);
  }

 private:
  struct Pair {
    uint32_t value = 0, block = 0;
  };
  std::vector<Pair> pairs_;
  std::vector<uint32_t> begin_, blocks_;
};

class Placement {
 public:
  explicit Placement(Draft& draft)
      : draft_(draft), kernel_(draft.kernel), flow_(draft.kernel), spans_(draft.registers) {}

  void run() {
    find_mentions();
    find_live();
    place_registers();
    place_others();
    rewrite();
  }

 private:
  template <class Body>
  void each_access(uint32_t at, const Body& body) const {
    for (uint32_t i = draft_.first_access[at]; i < draft_.first_access[at + 1]; ++i) {
      const uint32_t value = draft_.accesses[i] & ~Draft::kDefinition;
      if (value < draft_.registers) body(value, (draft_.accesses[i] & Draft::kDefinition) != 0);
    }
  }

  /// Of each block: the registers that it needs from before, and those that it defines whatever the guards.
  void find_mentions() {
    std::vector<uint32_t> used(draft_.registers, 0), defined = used;  // number of the last such block + 1
    for (uint32_t b = 0; b < flow_.blocks(); ++b) {
      for (uint32_t i = flow_.begin(b); i < flow_.end(b); ++i) {
        const bool whole = kernel_.code[i].guard == kNone;
        each_access(i, [&](uint32_t value, bool definition) {
          if ((definition && whole) || defined[value] == b + 1 || used[value] == b + 1) return;
          used[value] = b + 1;
          uses_.add(value, b);
        });
        each_access(i, [&](uint32_t value, bool definition) {
          spans_[value].cover(i);
          if (!definition || !whole || defined[value] == b + 1) return;
          defined[value] = b + 1;
          definitions_.add(value, b);
        });
      }
    }
    uses_.sort(draft_.registers);
    definitions_.sort(draft_.registers);
  }

  void find_live() {
    // Of each node: the last register + 1 that was found to be needed at its beginning, or that it defines.
    std::vector<uint32_t> needed(flow_.nodes(), 0), defined = needed, work;
    uint64_t steps = 0;
    for (uint32_t value = 0; value < draft_.registers; ++value) {
      const uint32_t mark = value + 1;
      const auto need = [&](uint32_t node) {
        if (needed[node] == mark) return;
        needed[node] = mark;
        work.push_back(node);
      };
      for (const uint32_t block : definitions_.of(value)) defined[block] = mark;
      for (const uint32_t block : uses_.of(value)) need(block);
      while (!work.empty()) {
        const uint32_t node = work.back();
        work.pop_back();
        if (node < flow_.blocks()) spans_[value].cover(flow_.begin(node));
        const auto before = flow_.before(node);
        steps += before.size();
        for (const uint32_t from : before) {
          if (from < flow_.blocks()) spans_[value].cover(flow_.end(from) - 1);
          if (defined[from] != mark) need(from);
        }
      }
      if (needed[0] == mark) unset_.push_back(value);
      if (steps > kMostSteps) fail(Kind::input, "kernel ", kernel_.name, ": too large");
    }
  }

  static uint32_t bytes(uint32_t bits) { return bits == 1 ? 4 : bits / 8 * kLanes; }

  uint32_t take_place(uint32_t size) {
    const uint32_t offset = kernel_.file_bytes;
    kernel_.file_bytes += size == 4 ? 64 : size;  // everything starts on a line of the cache
    if (kernel_.file_bytes > kLargestFile)
      fail(Kind::input, "kernel ", kernel_.name, ": too many live registers");
    return offset;
  }

  void place_registers() {
    std::vector<uint32_t> order;
    places_.assign(draft_.bits.size(), 0);
    for (uint32_t value = 0; value < draft_.registers; ++value) {
      if (spans_[value].first != UINT32_MAX) order.push_back(value);
    }
    std::vector<uint32_t> ends = order;
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return spans_[a].first < spans_[b].first; });
    std::stable_sort(ends.begin(), ends.end(),
                     [&](uint32_t a, uint32_t b) { return spans_[a].last < spans_[b].last; });
    std::vector<std::vector<uint32_t>> free(65);
    size_t ended = 0;
    for (const uint32_t value : order) {
      for (; spans_[ends[ended]].last < spans_[value].first; ++ended) {
        free[draft_.bits[ends[ended]]].push_back(places_[ends[ended]]);
      }
      auto& same = free[draft_.bits[value]];
      if (same.empty()) {
        places_[value] = take_place(bytes(draft_.bits[value]));
      } else {
        places_[value] = same.back();
        same.pop_back();
      }
    }
    for (const uint32_t value : unset_) {
      kernel_.cleared.push_back({places_[value], bytes(draft_.bits[value])});
    }
  }

  void place_others() {
    for (uint32_t value = draft_.registers; value < draft_.bits.size(); ++value) {
      places_[value] = take_place(bytes(draft_.bits[value]));
    }
    for (auto& constant : kernel_.constants) constant.slot = places_[constant.slot];
    for (auto& use : kernel_.specials) use.slot = places_[use.slot];
  }

  void rewrite() {
    const auto place = [&](uint32_t& value) {
      if (value != kNone) value = places_[value];
    };
    for (Instruction& in : kernel_.code) {
      place(in.guard);
      place(in.dst);
      place(in.dst2);
      for (uint32_t& source : in.src) place(source);
    }
    for (uint32_t& value : kernel_.vectors) place(value);
  }

  Draft& draft_;
  Kernel& kernel_;
  Flow flow_;
  Mentions uses_, definitions_;
  std::vector<Span> spans_;
  std::vector<uint32_t> unset_;  ///< registers that may be read before they are written
  std::vector<uint32_t> places_;
};

}  // namespace

void place_values(Draft& draft) { Placement(draft).run(); }

}  // namespace gristmill::emulator
