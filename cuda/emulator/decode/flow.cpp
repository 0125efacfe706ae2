#include "emulator/decode/flow.hpp"

#include <cstddef>

#include "emulator/ops/operations.hpp"

namespace gristmill::emulator {
namespace {

bool jumps(const Instruction& in) { return in.run == jump_handler() || in.run == table_jump_handler(); }

/// So does a jump through a table, with the lanes whose index is outside: a fault, but they go on.
bool falls_through(const Instruction& in) {
  return in.guard != kNone || !(in.run == jump_handler() || in.run == exit_handler());
}

}  // namespace

Flow::Flow(const Kernel& kernel) : tables_(static_cast<uint32_t>(kernel.tables.size())) {
  const std::vector<bool> leader = leaders(kernel);
  const auto count = static_cast<uint32_t>(kernel.code.size());
  for (uint32_t i = 0; i < count; ++i) {
    if (leader[i]) begins_.push_back(i);
  }
  begins_.push_back(count);
  const std::vector<Edge> all = edges(kernel);
  first_.assign(nodes() + 1, 0);
  for (const auto& [from, to] : all) ++first_[to + 1];
  for (uint32_t node = 0; node < nodes(); ++node) first_[node + 1] += first_[node];
  sources_.resize(all.size());
  std::vector<uint32_t> next = first_;
  for (const auto& [from, to] : all) sources_[next[to]++] = from;
}

std::vector<bool> Flow::leaders(const Kernel& kernel) const {
  std::vector<bool> leader(kernel.code.size() + 1, false);
  leader[0] = true;
  for (const auto& table : kernel.tables) {
    for (const uint32_t target : table) leader[target] = true;
  }
  for (size_t i = 0; i < kernel.code.size(); ++i) {
    const Instruction& in = kernel.code[i];
    if (in.run == jump_handler()) leader[in.target] = true;
    if (jumps(in) || !falls_through(in)) leader[i + 1] = true;
  }
  return leader;
}

std::vector<Flow::Edge> Flow::edges(const Kernel& kernel) const {
  std::vector<uint32_t> block_of(kernel.code.size());
  for (uint32_t b = 0; b < blocks(); ++b) {
    for (uint32_t i = begin(b); i < end(b); ++i) block_of[i] = b;
  }
  std::vector<Edge> edges;
  for (uint32_t table = 0; table < tables_; ++table) {
    for (const uint32_t target : kernel.tables[table]) edges.emplace_back(blocks() + table, block_of[target]);
  }
  for (uint32_t b = 0; b < blocks(); ++b) {
    const Instruction& last = kernel.code[end(b) - 1];
    if (last.run == jump_handler()) edges.emplace_back(b, block_of[last.target]);
    if (last.run == table_jump_handler()) edges.emplace_back(b, blocks() + last.target);
    if (falls_through(last) && b + 1 < blocks()) edges.emplace_back(b, b + 1);
  }
  return edges;
}

}  // namespace gristmill::emulator
