#include "shard/tokens.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/str.hpp"
#include "shard/byte_source.hpp"
#include "shard/decoder.hpp"
#include "shard/provenance.hpp"
#include "shard/writer.hpp"

namespace gristmill::shard {

namespace {

constexpr uint64_t kTokenFrameBytes = 64
                                      << 10;  ///< a random window of a few thousand ids costs 48 µs to decode
constexpr uint64_t kSmallVocabulary = 65536;

size_t width_of(const TokenShardInfo& info) { return info.vocab_size <= kSmallVocabulary ? 2 : 4; }

Header token_header(const TokenShardInfo& info, const Json& options, uint64_t seed) {
  if (info.vocab_size == 0 || info.vocab_size > uint64_t{1} << 32) {
    fail(Kind::usage, "a vocabulary of ", info.vocab_size, " entries: a token shard holds 1 to 2^32");
  }
  if (info.end_of_text >= info.vocab_size) {
    fail(Kind::usage, "the end-of-text id ", info.end_of_text, " is outside the vocabulary of ",
         info.vocab_size);
  }
  Header header;
  header.schema = kTokens;
  header.tool = "tokenize";
  header.seed = seed;
  header.options = options;
  header.extra["dtype"] = width_of(info) == 2 ? "uint16" : "uint32";
  header.extra["vocab_size"] = info.vocab_size;
  header.extra["tokenizer_hash"] = info.tokenizer_hash;
  header.extra["end_of_text"] = uint64_t{info.end_of_text};
  return header;
}

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
      fail(Kind::input, "ids of type ", quoted(dtype), " for a vocabulary of ", info.vocab_size);
    }
  } catch (const Error& error) {
    fail(Kind::input, name, ": damaged header of a token shard: ", error.what());
  }
  return info;
}

/// LEB128: seven bits a byte, the lowest first, the top bit set on all but the last.
void append_varint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>(0x80 | (value & 0x7F));
    value >>= 7;
  }
  out += static_cast<char>(value);
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

/// Reads the shards of one list into a TokenSet.
class TokenLoader {
 public:
  TokenLoader(const std::string& expected_hash, TokenSet& set) : expected_(expected_hash), set_(set) {}

  void load(const std::string& path) {
    ByteSource source(path);
    const auto decoder = open_decoder(source);
    name_ = source.name();
    std::string_view chunk;
    for (;;) {
      const Event event = decoder->next(chunk);
      if (event == Event::end) return;
      if (event == Event::data) {
        if (!started_) start(decoder->header());
        append(chunk);
      } else {
        if (!started_) start(decoder->segment().header);
        finish(decoder->segment());
      }
    }
  }

 private:
  void start(const std::optional<Header>& header) {
    if (!header || header->schema != kTokens) {
      fail(Kind::input, name_, ": is no token shard; make one with tokenize");
    }
    const TokenShardInfo info = info_of(*header, name_);
    if (!expected_.empty() && info.tokenizer_hash != expected_) {
      fail(Kind::input, name_, ": made with tokenizer ", info.tokenizer_hash, ", but the tokenizer here is ",
           expected_, "; use the tokenizer.json it was made with, or run tokenize again");
    }
    if (any_ &&
        (info.tokenizer_hash != set_.info.tokenizer_hash || info.vocab_size != set_.info.vocab_size)) {
      fail(Kind::input, name_, ": made with tokenizer ", info.tokenizer_hash,
           ", but the shards before it with ", set_.info.tokenizer_hash, "; tokenize all of them with one");
    }
    set_.info = info;
    width_ = width_of(info);
    any_ = started_ = true;
    held_ = 0;
    first_ = set_.ids.size();
  }

  void append(std::string_view chunk) {
    for (const char c : chunk) {
      rest_[held_++] = static_cast<unsigned char>(c);
      if (held_ < width_) continue;
      uint32_t id = 0;
      for (size_t i = 0; i < width_; ++i) id |= uint32_t{rest_[i]} << (8 * i);
      if (id >= set_.info.vocab_size) {
        fail(Kind::input, name_, ": id ", id, " is outside the vocabulary of ", set_.info.vocab_size,
             " entries");
      }
      set_.ids.push_back(id);
      held_ = 0;
    }
  }

  void finish(const Segment& segment) {
    if (held_ != 0) fail(Kind::input, name_, ": damaged: the last id is cut");
    uint64_t documents = 0, position = first_;
    for (size_t at = 0; at < segment.index.size(); ++documents) {
      const uint64_t step = take_varint(segment.index, at, name_);
      const bool fits = step < set_.ids.size() - position && (step > 0) == (documents > 0);
      if (!fits || set_.ids[position + step] != set_.info.end_of_text) {
        fail(Kind::input, name_, ": damaged: document ", documents + 1,
             " does not start with the end-of-text id");
      }
      position += step;
      set_.document_starts.push_back(position);
    }
    if (documents != segment.trailer.records || (documents == 0) != (set_.ids.size() == first_)) {
      fail(Kind::input, name_, ": damaged: an index of ", documents, " documents for ",
           segment.trailer.records);
    }
    started_ = false;
  }

  const std::string& expected_;
  TokenSet& set_;
  std::string name_;
  bool any_ = false, started_ = false;
  size_t width_ = 2, held_ = 0, first_ = 0;
  std::array<unsigned char, 4> rest_{};
};

}  // namespace

struct TokenWriter::State {
  TokenShardInfo info;
  size_t width;
  Writer writer;
  std::string bytes, index;
  uint64_t tokens = 0, last_start = 0;
};

TokenWriter::TokenWriter(const std::string& path, const TokenShardInfo& info, const Json& options,
                         uint64_t seed, int threads) {
  WriterOptions writer_options;
  writer_options.threads = threads;
  writer_options.frame_bytes = kTokenFrameBytes;
  const Header header = token_header(info, options, seed);
  state_.reset(new State{info, width_of(info), Writer(path, header, writer_options), {}, {}});
}

TokenWriter::~TokenWriter() = default;

void TokenWriter::write(std::span<const uint32_t> ids) {
  auto& s = *state_;
  s.bytes.clear();
  const auto append = [&s](uint32_t id) {
    for (size_t i = 0; i < s.width; ++i) s.bytes += static_cast<char>((id >> (8 * i)) & 0xFF);
  };
  append(s.info.end_of_text);
  for (const uint32_t id : ids) {
    if (id >= s.info.vocab_size) {
      fail(Kind::internal, "id ", id, " is outside the vocabulary of ", s.info.vocab_size, " entries");
    }
    append(id);
  }
  append_varint(s.index, s.tokens - s.last_start);
  s.last_start = s.tokens;
  s.tokens += ids.size() + 1;
  s.writer.write_bytes(s.bytes.data(), s.bytes.size(), 1);
}

void TokenWriter::close(const Json& provenance) {
  state_->writer.set_index(std::move(state_->index));
  state_->writer.close(provenance);
}

uint64_t TokenWriter::tokens_written() const { return state_->tokens; }
uint64_t TokenWriter::bytes_written() const { return state_->writer.bytes_written(); }

TokenSet read_tokens(const std::vector<std::string>& paths, const std::string& expected_hash) {
  TokenSet set;
  TokenLoader loader(expected_hash, set);
  for (const auto& path : paths) loader.load(path);
  std::string digest =
      xxh128_hex({reinterpret_cast<const char*>(set.ids.data()), set.ids.size() * sizeof(uint32_t)});
  digest += xxh128_hex({reinterpret_cast<const char*>(set.document_starts.data()),
                        set.document_starts.size() * sizeof(uint64_t)});
  set.digest = xxh128_hex(digest);
  return set;
}

}  // namespace gristmill::shard
