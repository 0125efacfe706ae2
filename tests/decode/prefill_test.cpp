// How a prompt is cut into forwards, and what else is in them, changes no bit: of fp32 and bf16, on every
// instruction set, and with weights in int8.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.hpp"
#include "decode/generator.hpp"
#include "model/transformer.hpp"
#include "runtime/device.hpp"
#include "support/catch.hpp"
#include "support/tiny_model.hpp"

using namespace gristmill;
using model::WeightStorage;
using runtime::DType;

namespace {

constexpr int64_t kVocab = 40;
constexpr int32_t kTokens = 150;  // more than two blocks of keys

/// Sets GRISTMILL_ISA while it lives.
class WithIsa {
 public:
  explicit WithIsa(const std::string& isa) { ::setenv("GRISTMILL_ISA", isa.c_str(), 1); }
  ~WithIsa() { ::unsetenv("GRISTMILL_ISA"); }
  WithIsa(const WithIsa&) = delete;
  WithIsa& operator=(const WithIsa&) = delete;
};

std::unique_ptr<runtime::Device> best_device(DType compute) {
  return runtime::open_device("cpu", 2, compute);
}

std::unique_ptr<runtime::Device> plain_device(DType compute) {
  const WithIsa scalar("scalar");
  return runtime::open_device("cpu", 1, compute);
}

model::Transformer small_model(runtime::Device& device, WeightStorage storage) {
  model::Transformer model(device, test::tiny_config(kVocab, 256), storage);
  model::initialize(model.parameters(), 4);
  return model;
}

std::vector<int32_t> text() {
  Rng rng(3, stream_of(RandomStream::test));
  std::vector<int32_t> ids(kTokens);
  for (auto& id : ids) id = static_cast<int32_t>(rng.below(kVocab));
  return ids;
}

std::vector<float> logits_of(model::Transformer& model, runtime::ConstView hidden) {
  auto& device = model.device();
  const runtime::Buffer logits(device, device.real(), hidden.rows, kVocab);
  model.logits(logits.view(), hidden);
  return runtime::read_float(device, logits.view());
}

/// The text read `chunk` tokens at a time, in a cache whose other sequence reads another one.
std::vector<float> read_in_chunks(model::Transformer& model, int32_t chunk) {
  const auto ids = text();
  model::KvCache cache(model.device(), model.config(), 2, 256);
  std::vector<float> all;
  for (int32_t first = 0; first < kTokens; first += chunk) {
    const int32_t count = std::min(chunk, kTokens - first);
    model::CachedRows rows;
    for (int32_t t = first; t < first + count; ++t) {
      rows.ids.push_back(ids[static_cast<size_t>(t)]);
      rows.sequence.push_back(1);
      rows.position.push_back(t);
    }
    if (first / chunk % 2 == 1) {  // and sometimes a row of another sequence
      rows.ids.push_back(first % kVocab);
      rows.sequence.push_back(0);
      rows.position.push_back(first / chunk / 2);
    }
    const auto some = logits_of(model, model.forward_cached(cache, rows));
    all.insert(all.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(count * kVocab));
  }
  return all;
}

}  // namespace

TEST_CASE("a prompt read in chunks of any size gives the bits of training's forward", "[decode]") {
  for (const auto open : {best_device, plain_device}) {
    for (const DType compute : {DType::f32, DType::bf16}) {
      for (const auto storage : {WeightStorage::real, WeightStorage::int8}) {
        const auto device = open(compute);
        auto model = small_model(*device, storage);
        model::Batch batch;
        const auto ids = text();
        batch.add(std::vector<uint32_t>(ids.begin(), ids.end()));
        const auto expected = logits_of(model, model.forward(batch, false));
        for (const int32_t chunk : {1, 5, 64, kTokens}) {
          INFO("chunks of " << chunk << " on " << device->name());
          CHECK((read_in_chunks(model, chunk) == expected));
        }
      }
    }
  }
}

TEST_CASE("drawn completions in int8 do not depend on the batch or the threads", "[decode]") {
  for (const DType compute : {DType::f32, DType::bf16}) {
    std::vector<decode::Request> requests;
    for (uint32_t i = 0; i < 9; ++i) requests.push_back({std::vector<uint32_t>(1 + i % 4, i), i});
    decode::GenerateOptions options;
    options.max_tokens = 10;
    options.batch = 1;
    const auto one = runtime::open_device("cpu", 1, compute), two = best_device(compute);
    auto alone = small_model(*one, WeightStorage::int8), together = small_model(*two, WeightStorage::int8);
    const auto expected = generate(alone, requests, options);
    for (const int64_t size : {3, 32}) {
      options.batch = size;
      const auto found = generate(together, requests, options);
      for (size_t i = 0; i < requests.size(); ++i) {
        CHECK(found[i].ids == expected[i].ids);
        CHECK(found[i].log_probs == expected[i].log_probs);
      }
    }
  }
}
