// Token shards, or lines of ids, back to documents or bare text.

#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "base/str.hpp"
#include "shard/header.hpp"
#include "shard/record.hpp"
#include "shard/tokens.hpp"
#include "shard/writer.hpp"
#include "tokenizer/tokenize.hpp"

namespace gristmill::tokenizer {
namespace {

using TextSink = std::function<void(std::string&&)>;

/// The ids of a line, or nothing if something in it is no id of the vocabulary.
std::optional<std::vector<uint32_t>> parse_ids(std::string_view line, uint32_t vocab_size) {
  std::vector<uint32_t> ids;
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  for (const std::string_view field : split(line, ' ')) {
    if (field.empty()) continue;
    const auto id = parse_uint(field);
    if (!id || *id >= vocab_size) return std::nullopt;
    ids.push_back(static_cast<uint32_t>(*id));
  }
  return ids;
}

void decode_lines(const std::vector<std::string>& inputs, const Tokenizer& tokenizer, const TextSink& sink,
                  Stats& stats) {
  for (const std::string& input : inputs) {
    LineReader lines(input);
    std::string_view line;
    while (lines.next(line)) {
      ++stats.records_in;
      stats.bytes_in += line.size() + 1;
      if (const auto ids = parse_ids(line, tokenizer.vocab_size())) {
        ++stats.records_out;
        sink(tokenizer.decode(*ids));
      } else {
        stats.drop("bad_record");
      }
    }
  }
}

void decode_shards(const std::vector<std::string>& inputs, const Tokenizer& tokenizer, const TextSink& sink,
                   Stats& stats) {
  const shard::TokenSet set = shard::read_tokens(inputs, tokenizer.hash());
  for (size_t i = 0; i < set.document_starts.size(); ++i) {
    const uint64_t begin = set.document_starts[i];
    const uint64_t end = i + 1 < set.document_starts.size() ? set.document_starts[i + 1] : set.ids.size();
    auto ids = std::span(set.ids).subspan(begin, end - begin);
    // The shard's own end-of-text in front is no part of the document.
    if (!ids.empty() && ids.front() == set.info.end_of_text) ids = ids.subspan(1);
    ++stats.records_in;
    ++stats.records_out;
    sink(tokenizer.decode(ids));
  }
  stats.bytes_in = set.ids.size() * (set.info.vocab_size <= 65536 ? 2 : 4);
}

void decode_all(const std::vector<std::string>& inputs, const Tokenizer& tokenizer,
                const TokenizeOptions& options, const TextSink& sink, Stats& stats) {
  options.ids ? decode_lines(inputs, tokenizer, sink, stats) : decode_shards(inputs, tokenizer, sink, stats);
}

}  // namespace

Stats detokenize(const std::vector<std::string>& inputs, const std::string& output,
                 const Tokenizer& tokenizer, const TokenizeOptions& options) {
  Stats stats;
  if (options.text) {
    OutputFile file(output);
    decode_all(
        inputs, tokenizer, options,
        [&](std::string&& text) {
          file.write(text);
          stats.bytes_out += text.size();
        },
        stats);
    file.close();
    return stats;
  }
  shard::Header header;
  header.tool = "tokenize";
  header.seed = options.seed;
  header.options["decode"] = true;
  header.options["tokenizer_hash"] = tokenizer.hash();
  shard::Writer writer(output, header, shard::writer_options(output, options.threads));
  uint64_t count = 0;
  decode_all(
      inputs, tokenizer, options,
      [&](std::string&& text) {
        shard::Document document;
        document.id = str(count++);
        document.text = std::move(text);
        writer.write(document.to_line());
      },
      stats);
  writer.close(Json::array());
  stats.bytes_out = writer.bytes_written();
  return stats;
}

}  // namespace gristmill::tokenizer
