#include "shard/tokens.hpp"

#include <utility>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/str.hpp"
#include "shard/byte_source.hpp"
#include "shard/decoder.hpp"
#include "shard/token_loader.hpp"
#include "shard/writer.hpp"

namespace gristmill::shard {

namespace {

/// A random window of a few thousand ids costs 48 µs to decode from frames of this size, 640 µs from 1 MiB.
constexpr uint64_t kTokenFrameBytes = 64 << 10;

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

/// LEB128: seven bits a byte, the lowest first, the top bit set on all but the last.
void append_varint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>(0x80 | (value & 0x7F));
    value >>= 7;
  }
  out += static_cast<char>(value);
}

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
  for (const auto& path : paths) {
    ByteSource source(path);
    const auto decoder = open_decoder(source);
    std::string_view chunk;
    for (Event event = decoder->next(chunk); event != Event::end; event = decoder->next(chunk)) {
      if (event == Event::data) {
        loader.append(decoder->header(), chunk, source.name());
      } else {
        loader.finish(decoder->segment(), source.name());
      }
    }
  }
  std::string digest =
      xxh128_hex({reinterpret_cast<const char*>(set.ids.data()), set.ids.size() * sizeof(uint32_t)});
  digest += xxh128_hex({reinterpret_cast<const char*>(set.document_starts.data()),
                        set.document_starts.size() * sizeof(uint64_t)});
  set.digest = xxh128_hex(digest);
  return set;
}

}  // namespace gristmill::shard
