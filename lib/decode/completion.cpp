#include "decode/completion.hpp"

#include <optional>
#include <span>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/progress.hpp"

namespace gristmill::decode {

namespace {

constexpr int64_t kBlocks = 8;  ///< batches' worth of requests that are read before they are run

Json to_record(const Prompt& prompt, const Completion& completion, const Session& session,
               const CompletionOptions& options, int64_t sample) {
  Json record = Json::object();
  record["prompt"] = prompt.shown;
  if (options.output_ids || session.tokenizer == nullptr) {
    Json ids = Json::array();
    for (const uint32_t id : completion.ids) ids.push_back(static_cast<int64_t>(id));
    record["ids"] = std::move(ids);
  } else {
    record["text"] = session.tokenizer->decode(completion.ids, true);
  }
  double sum = 0;
  for (const double value : completion.log_probs) sum += value;
  record["finish_reason"] = completion.finish == Finish::stop ? "stop" : "length";
  record["logprob"] = sum;
  if (options.samples > 1) record["sample"] = sample;
  for (const auto& [key, value] : prompt.extra.as_object()) {
    if (record.find(key) == nullptr) record[key] = value;
  }
  return record;
}

/// Prompts that wait for the model.
struct Block {
  std::vector<Prompt> prompts;
  std::vector<Request> requests;  ///< `samples` for each prompt
};

void run_block(Session& session, Block& block, shard::Writer& writer, const CompletionOptions& options,
               Stats& stats) {
  const auto completions = generate(*session.model, block.requests, options.generate);
  for (size_t i = 0; i < completions.size(); ++i) {
    const auto sample = static_cast<int64_t>(i) % options.samples;
    const auto& prompt = block.prompts[i / static_cast<size_t>(options.samples)];
    writer.write(to_record(prompt, completions[i], session, options, sample).dump());
  }
  stats.records_out += block.prompts.size();
  block = {};
}

void add_requests(std::vector<Request>& requests, const std::vector<uint32_t>& ids, uint64_t prompt_number,
                  int64_t samples) {
  for (int64_t sample = 0; sample < samples; ++sample) {
    requests.push_back({ids, prompt_number * static_cast<uint64_t>(samples) + static_cast<uint64_t>(sample)});
  }
}

void check_vocabulary(const std::vector<uint32_t>& ids, int64_t size, const std::string& where) {
  for (const uint32_t id : ids) {
    if (static_cast<int64_t>(id) >= size)
      fail(Kind::input, where, ": id ", id, " is outside the vocabulary of ", size);
  }
}

void check(const CompletionOptions& options) {
  if (options.samples < 1 || options.samples > (1 << 20)) fail(Kind::usage, "--n is between 1 and 1048576");
  if (options.generate.batch < 1) fail(Kind::usage, "--batch is at least 1");
}

}  // namespace

shard::Header completion_header(const CompletionOptions& options) {
  shard::Header header;
  header.schema = shard::kRecords;
  header.tool = "generate";
  header.seed = options.generate.seed;
  header.options["temperature"] = options.generate.sampling.temperature;
  header.options["top_k"] = options.generate.sampling.top_k;
  header.options["top_p"] = options.generate.sampling.top_p;
  header.options["min_p"] = options.generate.sampling.min_p;
  header.options["max_tokens"] = options.generate.max_tokens;
  header.options["n"] = options.samples;
  header.options["template"] = options.text_template == TextTemplate::none ? "none" : "chatml";
  header.options["stop_ids"] = Json::array();
  for (const uint32_t id : options.generate.stop_ids) header.options["stop_ids"].push_back(uint64_t{id});
  return header;
}

Stats complete(Session& session, shard::Reader& reader, shard::Writer& writer,
               const CompletionOptions& options) {
  check(options);
  Stats stats;
  progress::Counter progress("completing", "prompts");
  Block block;
  std::string_view line;
  while (reader.next(line)) {
    const uint64_t number = stats.records_in++;
    auto prompt = Prompt::parse(line, reader.where());
    const auto ids = prompt_ids(prompt, session.tokenizer.get(), options.text_template);
    check_vocabulary(ids, session.model->config().vocab_size, reader.where());
    if (static_cast<int64_t>(ids.size()) >= session.model->config().context) {
      stats.drop("prompt_too_long");
      continue;
    }
    add_requests(block.requests, ids, number, options.samples);
    block.prompts.push_back(std::move(prompt));
    progress.add();
    if (static_cast<int64_t>(block.requests.size()) >= kBlocks * options.generate.batch) {
      run_block(session, block, writer, options, stats);
    }
  }
  run_block(session, block, writer, options, stats);
  writer.close(reader.provenance());
  stats.bytes_in = reader.bytes_read();
  stats.bytes_out = writer.bytes_written();
  return stats;
}

std::vector<Json> complete_one(Session& session, const Prompt& prompt, const CompletionOptions& options,
                               const std::function<void(std::string_view)>& on_text) {
  check(options);
  std::vector<Request> requests;
  add_requests(requests, prompt_ids(prompt, session.tokenizer.get(), options.text_template), 0,
               options.samples);
  std::optional<tokenizer::StreamDecoder> decoder;
  std::function<void(size_t, uint32_t)> on_token;
  if (on_text && session.tokenizer != nullptr) {
    decoder.emplace(*session.tokenizer);
    on_token = [&](size_t request, uint32_t id) {
      if (request == 0) on_text(decoder->push(id));
    };
  }
  const auto completions = generate(*session.model, requests, options.generate, on_token);
  if (decoder) on_text(decoder->finish());
  std::vector<Json> records;
  for (size_t i = 0; i < completions.size(); ++i) {
    records.push_back(to_record(prompt, completions[i], session, options, static_cast<int64_t>(i)));
  }
  return records;
}

}  // namespace gristmill::decode
