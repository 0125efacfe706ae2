#include "tokenizer/bpe_trainer.hpp"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "base/error.hpp"
#include "base/str.hpp"
#include "tokenizer/byte_alphabet.hpp"

namespace gristmill::tokenizer {
namespace {

constexpr uint32_t kFree = UINT32_MAX;

size_t slot_of(uint32_t left, uint32_t right, size_t slots) {
  const uint64_t hash = ((uint64_t{left} << 32) | right) * 0x9E3779B97F4A7C15U;
  return static_cast<size_t>(hash >> 32) & (slots - 1);
}

}  // namespace

BpeTrainer::BpeTrainer(const PieceCounts& pieces, const TrainOptions& options)
    : options_(options), pair_slots_(size_t{1} << 16, kFree) {
  start_vocabulary();
  index_pieces(pieces);
}

void BpeTrainer::start_vocabulary() {
  for (const std::string& content : options_.special_tokens) {
    vocabulary_.added.push_back({static_cast<uint32_t>(vocabulary_.tokens.size()), content, true});
    vocabulary_.tokens.push_back(content);
  }
  vocabulary_.byte_ids.resize(256);
  for (const uint8_t byte : bytes_by_spelling()) {
    const auto id = static_cast<uint32_t>(vocabulary_.tokens.size());
    vocabulary_.byte_ids[byte] = id;
    vocabulary_.tokens.emplace_back(1, static_cast<char>(byte));
  }
}

void BpeTrainer::index_pieces(const PieceCounts& pieces) {
  pieces.for_each([&](std::string_view bytes, uint64_t count) {
    if (bytes.size() < 2) return;
    const auto piece = static_cast<uint32_t>(pieces_.size());
    if (piece == kFree) fail(Kind::input, "more than 2^32 - 1 distinct pieces; train on less text");
    pieces_.push_back({symbols_.size(), static_cast<uint32_t>(bytes.size()), static_cast<int64_t>(count)});
    for (const char byte : bytes) symbols_.push_back(vocabulary_.byte_ids[static_cast<unsigned char>(byte)]);
    const uint32_t* symbols = &symbols_[pieces_.back().start];
    for (size_t i = 0; i + 1 < bytes.size(); ++i) {
      change(symbols[i], symbols[i + 1], pieces_.back().count, piece);
    }
  });
  for (uint32_t pair = 0; pair < pairs_.size(); ++pair) push(pair);
  touched_.clear();
}

uint32_t BpeTrainer::pair_index(uint32_t left, uint32_t right) {
  size_t at = slot_of(left, right, pair_slots_.size());
  for (; pair_slots_[at] != kFree; at = (at + 1) & (pair_slots_.size() - 1)) {
    const Pair& pair = pairs_[pair_slots_[at]];
    if (pair.left == left && pair.right == right) return pair_slots_[at];
  }
  const auto index = static_cast<uint32_t>(pairs_.size());
  pair_slots_[at] = index;
  Pair& added = pairs_.emplace_back();
  added.left = left;
  added.right = right;
  if (pairs_.size() * 2 > pair_slots_.size()) grow_pair_slots();
  return index;
}

void BpeTrainer::grow_pair_slots() {
  pair_slots_.assign(pair_slots_.size() * 2, kFree);
  for (uint32_t pair = 0; pair < pairs_.size(); ++pair) {
    size_t at = slot_of(pairs_[pair].left, pairs_[pair].right, pair_slots_.size());
    while (pair_slots_[at] != kFree) at = (at + 1) & (pair_slots_.size() - 1);
    pair_slots_[at] = pair;
  }
}

// Adds to a pair's count; a pair that grew is noted for the heap, and the piece for its list.
void BpeTrainer::change(uint32_t left, uint32_t right, int64_t by, uint32_t piece) {
  const uint32_t index = pair_index(left, right);
  Pair& pair = pairs_[index];
  pair.count += by;
  if (by < 0) return;
  if (pair.pieces.empty() || pair.pieces.back() != piece) pair.pieces.push_back(piece);
  if (pair.touched_in != joins_) {
    pair.touched_in = joins_;
    touched_.push_back(index);
  }
}

bool BpeTrainer::comes_later(const Entry& a, const Entry& b) const {
  if (a.count != b.count) return a.count < b.count;
  if (options_.ties == Ties::hf) return a.left != b.left ? a.left > b.left : a.right > b.right;
  const auto& tokens = vocabulary_.tokens;
  const int left = tokens[a.left].compare(tokens[b.left]);
  return left != 0 ? left < 0 : tokens[a.right] < tokens[b.right];
}

void BpeTrainer::push(uint32_t pair) {
  const Pair& from = pairs_[pair];
  if (from.count <= 0) return;
  heap_.push_back({from.count, from.left, from.right, pair});
  std::push_heap(heap_.begin(), heap_.end(),
                 [this](const Entry& a, const Entry& b) { return comes_later(a, b); });
}

BpeTrainer::Entry BpeTrainer::pop() {
  std::pop_heap(heap_.begin(), heap_.end(),
                [this](const Entry& a, const Entry& b) { return comes_later(a, b); });
  const Entry entry = heap_.back();
  heap_.pop_back();
  return entry;
}

Vocabulary BpeTrainer::run() {
  const auto least = static_cast<int64_t>(std::max<uint64_t>(options_.min_frequency, 1));
  while (vocabulary_.tokens.size() < options_.vocab_size && !heap_.empty()) {
    const Entry top = pop();
    if (pairs_[top.pair].count != top.count) {
      push(top.pair);
      continue;
    }
    if (top.count < least) break;
    const auto result = static_cast<uint32_t>(vocabulary_.tokens.size());
    vocabulary_.tokens.push_back(vocabulary_.tokens[top.left] + vocabulary_.tokens[top.right]);
    vocabulary_.merges.push_back({top.left, top.right, result});
    join(top.pair, result);
  }
  check_spellings();
  return std::move(vocabulary_);
}

void BpeTrainer::join(uint32_t pair, uint32_t result) {
  ++joins_;
  touched_.clear();
  const uint32_t left = pairs_[pair].left, right = pairs_[pair].right;
  const std::vector<uint32_t> where = std::exchange(pairs_[pair].pieces, {});
  for (const uint32_t piece : where) rewrite(piece, left, right, result);
  for (const uint32_t touched : touched_) push(touched);
}

void BpeTrainer::rewrite(uint32_t piece, uint32_t left, uint32_t right, uint32_t result) {
  Piece& at = pieces_[piece];
  uint32_t* symbols = &symbols_[at.start];
  uint32_t read = 0, written = 0;
  while (read < at.length) {
    if (read + 1 == at.length || symbols[read] != left || symbols[read + 1] != right) {
      symbols[written++] = symbols[read++];
      continue;
    }
    change(left, right, -at.count, piece);
    if (written > 0) {  // the neighbour on the left is as rewritten by now
      change(symbols[written - 1], left, -at.count, piece);
      change(symbols[written - 1], result, at.count, piece);
    }
    if (read + 2 < at.length) {
      change(right, symbols[read + 2], -at.count, piece);
      change(result, symbols[read + 2], at.count, piece);
    }
    symbols[written++] = result;
    read += 2;
  }
  at.length = written;
}

void BpeTrainer::check_spellings() const {
  const std::unordered_set<std::string> special(options_.special_tokens.begin(),
                                                options_.special_tokens.end());
  for (size_t id = options_.special_tokens.size(); id < vocabulary_.tokens.size(); ++id) {
    const std::string spelling = spell_bytes(vocabulary_.tokens[id]);
    if (special.count(spelling) != 0) {
      fail(Kind::usage, "--special-tokens: ", in_quotes(spelling),
           " is also how an ordinary token is spelt; choose another name");
    }
  }
}

}  // namespace gristmill::tokenizer
