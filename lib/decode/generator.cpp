#include "decode/generator.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "base/error.hpp"
#include "base/rng.hpp"
#include "decode/step.hpp"

namespace gristmill::decode {

namespace {

constexpr double kLargestUniform = 1 - 0x1.0p-24;  ///< stays below 1 as a float

/// A place of the cache and the sequence that is being generated in it.
struct Slot {
  size_t request = 0;
  bool active = false;
  int64_t position = 0;  ///< of `next` = number of tokens whose keys are in the cache
  uint32_t next = 0;     ///< last token of the sequence, not yet fed
  int64_t left = 0;      ///< tokens that may still be generated
};

int64_t allowed_tokens(const Request& request, const GenerateOptions& options, int64_t context) {
  return std::min(options.max_tokens, context - static_cast<int64_t>(request.prompt.size()));
}

void check(const model::Config& config, const std::vector<Request>& requests,
           const GenerateOptions& options) {
  const auto& sampling = options.sampling;
  if (options.batch < 1) fail(Kind::usage, "--batch is at least 1");
  if (options.max_tokens < 0) fail(Kind::usage, "--max-tokens is 0 or more");
  if (!(sampling.temperature >= 0) || !std::isfinite(sampling.temperature))
    fail(Kind::usage, "--temperature is 0 or more");
  if (sampling.top_k < 0) fail(Kind::usage, "--top-k is 0 (all) or more");
  if (!(sampling.top_p > 0 && sampling.top_p <= 1))
    fail(Kind::usage, "--top-p lies above 0 and at most at 1");
  if (!(sampling.min_p >= 0 && sampling.min_p <= 1)) fail(Kind::usage, "--min-p lies between 0 and 1");
  if (config.head != model::Head::language)
    fail(Kind::usage, "a reward model generates no text; name a language model");
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto& prompt = requests[i].prompt;
    if (prompt.empty()) fail(Kind::input, "prompt ", i + 1, " is empty: there is nothing to continue");
    if (static_cast<int64_t>(prompt.size()) >= config.context) {
      fail(Kind::input, "prompt ", i + 1, " has ", prompt.size(), " tokens, but the model's context is ",
           config.context, " and needs room for at least one more; shorten the prompt");
    }
    for (const uint32_t id : prompt) {
      if (static_cast<int64_t>(id) >= config.vocab_size) {
        fail(Kind::input, "prompt ", i + 1, ": id ", id, " is outside the vocabulary of ", config.vocab_size);
      }
    }
  }
}

/// Runs the requests through a fixed number of slots. A slot whose sequence ends takes the next request at
/// once, so that the batch stays full; no row of a kernel depends on another, so neither does a completion.
class Generation {
 public:
  Generation(model::Transformer& model, const std::vector<Request>& requests, const GenerateOptions& options,
             const std::function<void(size_t, uint32_t)>& on_token)
      : model_(model),
        requests_(requests),
        options_(options),
        on_token_(on_token),
        slots_(std::min(requests.size(), static_cast<size_t>(options.batch))),
        cache_(model.device(), model.config(), static_cast<int64_t>(slots_.size()), capacity()),
        step_(model, cache_, options.sampling),
        completions_(requests.size()) {}

  std::vector<Completion> run() {
    for (admit(); any_active(); admit()) step();
    return std::move(completions_);
  }

 private:
  int64_t capacity() const {
    int64_t longest = 1;
    for (const auto& request : requests_) {
      const auto prompt = static_cast<int64_t>(request.prompt.size());
      longest = std::max(longest, prompt + allowed_tokens(request, options_, model_.config().context));
    }
    return longest;
  }

  bool any_active() const {
    return std::any_of(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.active; });
  }

  /// Fills free slots with waiting requests and reads their prompts, all but the last token of each: step()
  /// feeds that one.
  void admit() {
    std::vector<size_t> fresh;
    for (size_t s = 0; s < slots_.size(); ++s) {
      while (!slots_[s].active && waiting_ < requests_.size()) {
        const size_t request = waiting_++;
        const auto& prompt = requests_[request].prompt;
        const int64_t left = allowed_tokens(requests_[request], options_, model_.config().context);
        if (left == 0) continue;  // max_tokens is 0: an empty completion
        slots_[s] = {request, true, static_cast<int64_t>(prompt.size()) - 1, prompt.back(), left};
        fresh.push_back(s);
      }
    }
    prefill(fresh);
  }

  void prefill(const std::vector<size_t>& fresh) {
    model::CachedRows rows;
    std::vector<std::pair<size_t, size_t>> copies;  // samples of one prompt share its prefill
    for (size_t i = 0; i < fresh.size(); ++i) {
      const auto& prompt = requests_[slots_[fresh[i]].request].prompt;
      if (i > 0 && requests_[slots_[fresh[i - 1]].request].prompt == prompt) {
        copies.emplace_back(fresh[i - 1], fresh[i]);
        continue;
      }
      for (size_t t = 0; t + 1 < prompt.size(); ++t) {
        rows.ids.push_back(static_cast<int32_t>(prompt[t]));
        rows.sequence.push_back(static_cast<int32_t>(fresh[i]));
        rows.position.push_back(static_cast<int32_t>(t));
        if (static_cast<int64_t>(rows.ids.size()) == kPrefillRows) flush(rows);
      }
    }
    flush(rows);
    for (const auto& [from, to] : copies) copy_cache(from, to, slots_[to].position);
  }

  void flush(model::CachedRows& rows) {
    if (!rows.ids.empty()) model_.forward_cached(cache_, rows);
    rows = {};
  }

  void copy_cache(size_t from, size_t to, int64_t count) {
    if (count == 0) return;
    const int64_t source = static_cast<int64_t>(from) * cache_.capacity(),
                  target = static_cast<int64_t>(to) * cache_.capacity();
    auto& backend = model_.device().backend();
    for (int64_t layer = 0; layer < model_.config().layers; ++layer) {
      for (const runtime::View view : {cache_.keys(layer), cache_.values(layer)}) {
        backend.copy(view.row_range(target, count), runtime::View(view.row_range(source, count)));
      }
    }
  }

  /// Feeds the last token of every active sequence and draws the next.
  void step() {
    model::CachedRows rows;
    std::vector<size_t> owners;
    std::vector<double> uniforms;
    for (size_t s = 0; s < slots_.size(); ++s) {
      const Slot& slot = slots_[s];
      if (!slot.active) continue;
      rows.ids.push_back(static_cast<int32_t>(slot.next));
      rows.sequence.push_back(static_cast<int32_t>(s));
      rows.position.push_back(static_cast<int32_t>(slot.position));
      owners.push_back(s);
      Rng rng(options_.seed, stream_of(RandomStream::sampling, requests_[slot.request].stream),
              static_cast<uint64_t>(slot.position) + 1);
      uniforms.push_back(std::min(rng.uniform(), kLargestUniform));
    }
    const auto [ids, log_probs] = step_.run(rows, uniforms);
    for (size_t i = 0; i < owners.size(); ++i)
      take(slots_[owners[i]], static_cast<uint32_t>(ids[i]), log_probs[i]);
  }

  void take(Slot& slot, uint32_t id, double log_prob) {
    if (!std::isfinite(log_prob)) {
      fail(Kind::input, "the model's logits are no numbers at token ", slot.position + 1,
           ": its weights are damaged");
    }
    auto& completion = completions_[slot.request];
    completion.ids.push_back(id);
    completion.log_probs.push_back(log_prob);
    if (on_token_) on_token_(slot.request, id);
    ++slot.position;
    --slot.left;
    slot.next = id;
    const bool stop =
        std::find(options_.stop_ids.begin(), options_.stop_ids.end(), id) != options_.stop_ids.end();
    completion.finish = stop ? Finish::stop : Finish::length;
    slot.active = !stop && slot.left > 0;
  }

  model::Transformer& model_;
  const std::vector<Request>& requests_;
  const GenerateOptions& options_;
  const std::function<void(size_t, uint32_t)>& on_token_;
  std::vector<Slot> slots_;
  size_t waiting_ = 0;  ///< first request that has no slot yet
  model::KvCache cache_;
  Step step_;
  std::vector<Completion> completions_;
};

}  // namespace

std::vector<Completion> generate(model::Transformer& model, const std::vector<Request>& requests,
                                 const GenerateOptions& options,
                                 const std::function<void(size_t, uint32_t)>& on_token) {
  check(model.config(), requests, options);
  if (requests.empty()) return {};
  return Generation(model, requests, options, on_token).run();
}

}  // namespace gristmill::decode
