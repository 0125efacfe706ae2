// Live ranges of values, and places for them.
//
// A range reaches from the first to the last instruction at which a value is needed, loops included: the sets
// of values that are live at the borders of basic blocks come from the usual backward iteration. A guarded
// definition keeps what was there before. Lanes that are elsewhere in the code share the place but not the
// part of it, so that what holds for one thread holds for a warp.

#include <algorithm>
#include <bit>
#include <cstddef>

#include "base/error.hpp"
#include "emulator/decode/draft.hpp"
#include "emulator/ops/operations.hpp"

namespace gristmill::emulator {
namespace {

constexpr uint32_t kLargestFile = 8 << 20;
constexpr size_t kMostSetBits = size_t{1} << 28;

struct Span {
  uint32_t first = UINT32_MAX, last = 0;
  void cover(uint32_t at) {
    first = std::min(first, at);
    last = std::max(last, at);
  }
};

struct BasicBlock {
  uint32_t begin = 0, end = 0;
  std::vector<uint32_t> next;
};

using Bits = std::vector<uint64_t>;
bool test(const Bits& set, uint32_t i) { return (set[i / 64] >> (i % 64) & 1) != 0; }
void insert(Bits& set, uint32_t i) { set[i / 64] |= uint64_t{1} << (i % 64); }

class Placement {
 public:
  explicit Placement(Draft& draft) : draft_(draft), kernel_(draft.kernel), spans_(draft.registers) {}

  void run() {
    find_blocks();
    const size_t words = (draft_.registers + 63) / 64;
    if (blocks_.size() * words * 64 > kMostSetBits) fail(Kind::input, "kernel ", kernel_.name, ": too large");
    find_live(words);
    place_registers();
    place_others();
    rewrite();
  }

 private:
  std::vector<uint32_t> targets(uint32_t at) const {
    const Instruction& in = kernel_.code[at];
    if (in.run == table_jump_handler()) return kernel_.tables[in.target];
    if (in.run == jump_handler()) return {in.target};
    return {};
  }
  bool falls_through(uint32_t at) const {
    const Instruction& in = kernel_.code[at];
    const bool leaves =
        in.run == jump_handler() || in.run == table_jump_handler() || in.run == exit_handler();
    return !leaves || in.guard != kNone;
  }

  void find_blocks() {
    const auto count = static_cast<uint32_t>(kernel_.code.size());
    std::vector<bool> leader(count + 1, false);
    leader[0] = true;
    for (uint32_t i = 0; i < count; ++i) {
      for (const uint32_t target : targets(i)) leader[target] = true;
      if (!targets(i).empty() || !falls_through(i)) leader[i + 1] = true;
    }
    std::vector<uint32_t> block_of(count, 0);
    for (uint32_t i = 0; i < count; ++i) {
      if (leader[i]) blocks_.push_back({i, i, {}});
      blocks_.back().end = i + 1;
      block_of[i] = static_cast<uint32_t>(blocks_.size() - 1);
    }
    for (BasicBlock& block : blocks_) {
      for (const uint32_t target : targets(block.end - 1)) block.next.push_back(block_of[target]);
      if (falls_through(block.end - 1) && block.end < count) block.next.push_back(block_of[block.end]);
    }
  }

  template <class Body>
  void each_access(uint32_t at, const Body& body) const {
    for (uint32_t i = draft_.first_access[at]; i < draft_.first_access[at + 1]; ++i) {
      const uint32_t value = draft_.accesses[i] & ~Draft::kDefinition;
      if (value < draft_.registers) body(value, (draft_.accesses[i] & Draft::kDefinition) != 0);
    }
  }

  void find_live(size_t words) {
    std::vector<Bits> used(blocks_.size(), Bits(words)), defined = used;
    live_in_ = used;
    for (size_t b = 0; b < blocks_.size(); ++b) {
      for (uint32_t i = blocks_[b].begin; i < blocks_[b].end; ++i) {
        const bool whole = kernel_.code[i].guard == kNone;
        each_access(i, [&](uint32_t value, bool definition) {
          if ((!definition || !whole) && !test(defined[b], value)) insert(used[b], value);
        });
        each_access(i, [&](uint32_t value, bool definition) {
          spans_[value].cover(i);
          if (definition && whole) insert(defined[b], value);
        });
      }
    }
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t b = blocks_.size(); b-- > 0;) changed |= update(b, used[b], defined[b]);
    }
  }

  bool update(size_t b, const Bits& used, const Bits& defined) {
    bool changed = false;
    for (size_t w = 0; w < used.size(); ++w) {
      uint64_t out = 0;
      for (const uint32_t next : blocks_[b].next) out |= live_in_[next][w];
      const uint64_t in = used[w] | (out & ~defined[w]);
      changed |= in != live_in_[b][w];
      live_in_[b][w] = in;
      for (uint64_t bits = out; bits != 0; bits &= bits - 1) {
        spans_[w * 64 + static_cast<size_t>(std::countr_zero(bits))].cover(blocks_[b].end - 1);
      }
      for (uint64_t bits = in; bits != 0; bits &= bits - 1) {
        spans_[w * 64 + static_cast<size_t>(std::countr_zero(bits))].cover(blocks_[b].begin);
      }
    }
    return changed;
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
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return spans_[a].first < spans_[b].first; });
    std::vector<std::vector<uint32_t>> free(65), ending(kernel_.code.size());
    uint32_t at = 0;
    for (const uint32_t value : order) {
      for (; at < spans_[value].first; ++at) {
        for (const uint32_t ended : ending[at]) free[draft_.bits[ended]].push_back(places_[ended]);
      }
      auto& same = free[draft_.bits[value]];
      if (same.empty()) {
        places_[value] = take_place(bytes(draft_.bits[value]));
      } else {
        places_[value] = same.back();
        same.pop_back();
      }
      ending[spans_[value].last].push_back(value);
    }
    for (uint32_t value = 0; value < draft_.registers && !live_in_.empty(); ++value) {
      if (test(live_in_[0], value)) kernel_.cleared.push_back({places_[value], bytes(draft_.bits[value])});
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
  std::vector<Span> spans_;
  std::vector<BasicBlock> blocks_;
  std::vector<Bits> live_in_;
  std::vector<uint32_t> places_;
};

}  // namespace

void place_values(Draft& draft) { Placement(draft).run(); }

}  // namespace gristmill::emulator
