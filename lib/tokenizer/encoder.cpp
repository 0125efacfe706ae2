#include "tokenizer/encoder.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "tokenizer/pretokenizer.hpp"

namespace gristmill::tokenizer {
namespace {

constexpr size_t kCacheSlots = size_t{1} << 16;
constexpr int kCacheShift = 64 - 16;

}  // namespace

Encoder::Encoder(const EncodingTables& tables)
    : tables_(tables), merger_(tables.merges, tables.byte_ids.data()), cache_(kCacheSlots) {}

void Encoder::encode(std::string_view text, std::vector<uint32_t>& ids) {
  // Ids are gathered here first: three are always written, however many count, which spares a loop a word.
  std::array<uint32_t, 4096> ready;
  size_t count = 0;
  const auto flush = [&] {
    ids.insert(ids.end(), ready.begin(), ready.begin() + static_cast<std::ptrdiff_t>(count));
    count = 0;
  };
  for (size_t at = 0; at < text.size();) {
    const size_t end = next_piece(text, at);
    if (count + kMaxCachedIds > ready.size()) flush();
    if (end - at <= kMaxKeyBytes) {
      const Slot* slot = look_up(text, at, end - at);
      if (slot != nullptr) {
        std::copy_n(slot->ids, kMaxCachedIds, ready.data() + count);
        count += slot->count;
      } else {
        flush();
        ids.insert(ids.end(), spilled_.begin(), spilled_.end());
      }
    } else {
      flush();
      encode_piece(text.substr(at, end - at), ids);
    }
    at = end;
  }
  flush();
}

void Encoder::encode_piece(std::string_view piece, std::vector<uint32_t>& ids) {
  if (!tables_.whole_pieces.empty()) {
    const auto whole = tables_.whole_pieces.find(std::string(piece));
    if (whole != tables_.whole_pieces.end()) {
      ids.push_back(whole->second);
      return;
    }
  }
  merger_.encode(piece, ids);
}

Encoder::Key Encoder::key_of(std::string_view text, size_t begin, size_t length) {
  static_assert(std::endian::native == std::endian::little);
  uint64_t halves[2] = {0, 0};
  if (begin + sizeof halves <= text.size()) {  // a load of fixed size, then cut
    std::memcpy(halves, text.data() + begin, sizeof halves);
    const size_t bits = length * 8;
    halves[0] &= bits >= 64 ? UINT64_MAX : (uint64_t{1} << bits) - 1;
    halves[1] &= bits <= 64 ? 0 : (uint64_t{1} << (bits - 64)) - 1;
  } else {
    std::memcpy(halves, text.data() + begin, length);
  }
  return {halves[0], halves[1] | uint64_t{length} << 56};
}

const Encoder::Slot* Encoder::look_up(std::string_view text, size_t begin, size_t length) {
  const Key key = key_of(text, begin, length);
  const uint64_t hash = (key.low ^ (key.high * 0xD6E8FEB86659FD93U)) * 0x9E3779B97F4A7C15U;
  Slot& slot = cache_[static_cast<size_t>(hash >> kCacheShift)];
  if (slot.key == key) return &slot;
  spilled_.clear();
  encode_piece(text.substr(begin, length), spilled_);
  if (spilled_.size() > kMaxCachedIds) return nullptr;
  slot.key = key;
  slot.count = static_cast<uint32_t>(spilled_.size());
  std::copy(spilled_.begin(), spilled_.end(), slot.ids);
  return &slot;
}

}  // namespace gristmill::tokenizer
