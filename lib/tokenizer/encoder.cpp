#include "tokenizer/encoder.hpp"

#include <algorithm>
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
  for (size_t at = 0; at < text.size();) {
    const size_t end = next_piece(text, at);
    if (end - at == 1) {
      encode_piece(text.substr(at, 1), ids);
    } else if (end - at <= kMaxKeyBytes) {
      encode_cached(text, at, end - at, ids);
    } else {
      encode_piece(text.substr(at, end - at), ids);
    }
    at = end;
  }
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

void Encoder::encode_cached(std::string_view text, size_t begin, size_t length, std::vector<uint32_t>& ids) {
  unsigned char bytes[16] = {};
  std::memcpy(bytes, text.data() + begin, length);
  bytes[15] = static_cast<unsigned char>(length);
  uint64_t key[2];
  std::memcpy(key, bytes, sizeof key);
  const uint64_t hash = (key[0] ^ (key[1] * 0xD6E8FEB86659FD93U)) * 0x9E3779B97F4A7C15U;
  Slot& slot = cache_[static_cast<size_t>(hash >> kCacheShift)];
  if (slot.key[0] == key[0] && slot.key[1] == key[1]) {
    ids.insert(ids.end(), slot.ids, slot.ids + slot.count);
    return;
  }
  const size_t before = ids.size();
  encode_piece(text.substr(begin, length), ids);
  const size_t count = ids.size() - before;
  if (count > kMaxCachedIds) return;
  slot.key[0] = key[0];
  slot.key[1] = key[1];
  slot.count = static_cast<uint32_t>(count);
  std::copy_n(ids.begin() + static_cast<std::ptrdiff_t>(before), count, slot.ids);
}

}  // namespace gristmill::tokenizer
