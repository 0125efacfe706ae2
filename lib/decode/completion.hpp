#pragma once

// Prompt records in, completion records out:
//
//   {"prompt", "text" | "ids", "finish_reason": "stop" | "length", "logprob": sum in nats,
//    "sample"?: 0…n−1, …}

#include <cstdint>
#include <functional>
#include <string_view>

#include "base/json.hpp"
#include "base/stats.hpp"
#include "decode/generator.hpp"
#include "decode/prompt.hpp"
#include "decode/session.hpp"
#include "shard/reader.hpp"
#include "shard/writer.hpp"

namespace gristmill::decode {

struct CompletionOptions {
  GenerateOptions generate;
  int64_t samples = 1;  ///< completions a prompt
  bool output_ids = false;
  TextTemplate text_template = TextTemplate::none;
};

/// Provenance of a shard of completions.
shard::Header completion_header(const CompletionOptions& options);

/// Completes every prompt of the reader, a block of prompts at a time: memory is bounded by the batch. A
/// prompt that leaves no room in the context is dropped under "prompt_too_long". The completion of a prompt
/// depends on the seed and its place in the input, not on the batch.
Stats complete(Session& session, shard::Reader& reader, shard::Writer& writer,
               const CompletionOptions& options);

/// Completes one prompt; `on_text` is called with text as it becomes certain (not with output_ids). Returns
/// one record a sample.
std::vector<Json> complete_one(Session& session, const Prompt& prompt, const CompletionOptions& options,
                               const std::function<void(std::string_view)>& on_text = {});

}  // namespace gristmill::decode
