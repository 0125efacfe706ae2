#include "shard/token_loader.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/str.hpp"

namespace gristmill::shard {

namespace {

TokenShardInfo info_of(const Header& header, const std::string& name) {
  TokenShardInfo info;
  try {
    info.vocab_size = header.extra.at("vocab_size").as_uint();
    info.tokenizer_hash = header.extra.at("tokenizer_hash").as_string();
    const uint64_t end_of_text = header.extra.at("end_of_text").as_uint();
    if (info.vocab_size > uint64_t{1} << 32 || end_of_text >= info.vocab_size) {
      fail(Kind::input, "end-of-text id ", end_of_text, " in a vocabulary of ", info.vocab_size);
    }
    info.end_of_text = static_cast<uint32_t>(end_of_text);
    const std::string& dtype = header.extra.at("dtype").as_string();
    if (dtype != (width_of(info) == 2 ? "uint16" : "uint32")) {
      fail(Kind::input, "ids of type ", in_quotes(dtype), " for a vocabulary of ", info.vocab_size);
    }
  } catch (const Error& error) {
    fail(Kind::input, name, ": damaged header of a token shard: ", error.what());
  }
  return info;
}

uint64_t take_varint(std::string_view bytes, size_t& at, const std::string& name) {
  uint64_t value = 0;
  for (int shift = 0; shift < 63; shift += 7) {
    if (at == bytes.size()) break;
    const auto byte = static_cast<unsigned char>(bytes[at++]);
    value |= uint64_t{byte & 0x7FU} << shift;
    if ((byte & 0x80U) == 0) return value;
  }
  fail(Kind::input, name, ": damaged index of documents");
}

}  // namespace

void TokenLoader::start(const std::optional<Header>& header, const std::string& name) {
  if (!header || header->schema != kTokens) {
    fail(Kind::input, name, ": is no token shard; make one with tokenize");
  }
  const TokenShardInfo info = info_of(*header, name);
  if (!expected_.empty() && info.tokenizer_hash != expected_) {
    fail(Kind::input, name, ": made with tokenizer ", info.tokenizer_hash, ", but the tokenizer here is ",
         expected_, "; use the tokenizer.json it was made with, or run tokenize again");
  }
  if (any_ && (info.tokenizer_hash != set_.info.tokenizer_hash || info.vocab_size != set_.info.vocab_size ||
               info.end_of_text != set_.info.end_of_text)) {
    fail(Kind::input, name, ": made with tokenizer ", info.tokenizer_hash, ", but the shards before it with ",
         set_.info.tokenizer_hash, "; tokenize all of them with one");
  }
  set_.info = info;
  width_ = width_of(info);
  any_ = started_ = true;
  held_.clear();
  first_ = set_.ids.size();
}

void TokenLoader::append_ids(std::string_view bytes, const std::string& name) {
  for (size_t at = 0; at < bytes.size(); at += width_) {
    uint32_t id = 0;
    for (size_t i = 0; i < width_; ++i) id |= uint32_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
    if (id >= set_.info.vocab_size) {
      fail(Kind::input, name, ": id ", id, " is outside the vocabulary of ", set_.info.vocab_size,
           " entries");
    }
    set_.ids.push_back(id);
  }
}

void TokenLoader::append(const std::optional<Header>& header, std::string_view chunk,
                         const std::string& name) {
  if (!started_) start(header, name);
  if (!held_.empty()) {  // an id that the last piece cut
    const size_t missing = std::min(width_ - held_.size(), chunk.size());
    held_ += chunk.substr(0, missing);
    chunk.remove_prefix(missing);
    if (held_.size() < width_) return;
    append_ids(held_, name);
    held_.clear();
  }
  const size_t whole = chunk.size() / width_ * width_;
  append_ids(chunk.substr(0, whole), name);
  held_ = chunk.substr(whole);
}

void TokenLoader::finish(const Segment& segment, const std::string& name) {
  if (!started_) start(segment.header, name);
  if (!held_.empty()) fail(Kind::input, name, ": damaged: the last id is cut");
  uint64_t documents = 0, position = first_;
  for (size_t at = 0; at < segment.index.size(); ++documents) {
    const uint64_t step = take_varint(segment.index, at, name);
    const bool fits = step < set_.ids.size() - position && (step > 0) == (documents > 0);
    if (!fits || set_.ids[position + step] != set_.info.end_of_text) {
      fail(Kind::input, name, ": damaged: document ", documents + 1,
           " does not start with the end-of-text id");
    }
    position += step;
    set_.document_starts.push_back(position);
  }
  if (documents != segment.trailer.records || (documents == 0) != (set_.ids.size() == first_)) {
    fail(Kind::input, name, ": damaged: an index of ", documents, " documents for ", segment.trailer.records);
  }
  started_ = false;
}

}  // namespace gristmill::shard
