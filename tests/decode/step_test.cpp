// Steps of generation that a GPU records and replays: the tokens and log-probabilities of steps that are done
// anew each time, bit for bit.

#include "decode/step.hpp"

#include <cstdint>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "decode/generator.hpp"
#include "support/catch.hpp"
#include "support/tiny_model.hpp"

using namespace gristmill;
using namespace gristmill::decode;
using runtime::DType;

namespace {

constexpr int64_t kVocab = 40;

struct Watch {
  bool records = true;
  int recordings = 0, replays = 0;
};

class WatchedRecording final : public runtime::Recording {
 public:
  WatchedRecording(std::unique_ptr<Recording> inner, Watch& watch) : inner_(std::move(inner)), watch_(watch) {
    ++watch_.recordings;
  }
  bool is_current() const override { return inner_->is_current(); }
  void replay() override {
    ++watch_.replays;
    inner_->replay();
  }

 private:
  std::unique_ptr<Recording> inner_;
  Watch& watch_;
};

/// Another device whose recordings are counted, or that has none.
class WatchedDevice final : public runtime::Device {
 public:
  WatchedDevice(std::unique_ptr<Device> inner, Watch& watch) : inner_(std::move(inner)), watch_(watch) {}
  std::string name() const override { return inner_->name(); }
  DType real() const override { return inner_->real(); }
  DType compute() const override { return inner_->compute(); }
  runtime::Backend& backend() override { return inner_->backend(); }
  void* allocate(size_t bytes) override { return inner_->allocate(bytes); }
  void release(void* memory) noexcept override { inner_->release(memory); }
  void write(void* to, const void* host, size_t bytes) override { inner_->write(to, host, bytes); }
  void read(void* host, const void* from, size_t bytes) override { inner_->read(host, from, bytes); }
  void synchronize() override { inner_->synchronize(); }
  std::unique_ptr<runtime::Recording> record(const std::function<void()>& work) override {
    if (!watch_.records) return nullptr;
    return std::make_unique<WatchedRecording>(inner_->record(work), watch_);
  }

 private:
  std::unique_ptr<Device> inner_;
  Watch& watch_;
};

std::unique_ptr<runtime::Device> emulated(DType compute, Watch& watch) {
  return std::make_unique<WatchedDevice>(runtime::open_device("emu", 2, compute), watch);
}

bool has_emulator() {
  try {
    runtime::open_device("emu", 1);
    return true;
  } catch (const Error&) {
    std::cout << "[skipped] a build without CUDA\n";
    return false;
  }
}

/// Prompts of several lengths, and more of them than go side by side: slots fall free and are filled again.
std::vector<Request> requests() {
  std::vector<Request> list;
  for (uint32_t i = 0; i < 5; ++i) {
    Request request;
    for (uint32_t t = 0; t <= i * 5 % 7; ++t) request.prompt.push_back((i * 7 + t * 3) % kVocab);
    request.stream = i;
    list.push_back(request);
  }
  return list;
}

std::vector<Completion> completions(const model::Config& config, DType compute, Watch& watch) {
  const auto device = emulated(compute, watch);
  auto model = test::tiny_model(*device, config);
  GenerateOptions options;
  options.max_tokens = 6;
  options.batch = 3;
  options.stop_ids = {3, 17};
  return generate(model, requests(), options);
}

void check_same(const model::Config& config, DType compute) {
  Watch with, without;
  without.records = false;
  const auto recorded = completions(config, compute, with), plain = completions(config, compute, without);
  CHECK(with.recordings >= 2);  // slots fell free
  CHECK(with.replays >= with.recordings);
  CHECK(without.recordings == 0);
  REQUIRE(recorded.size() == plain.size());
  for (size_t i = 0; i < plain.size(); ++i) {
    CHECK(recorded[i].ids == plain[i].ids);
    CHECK(recorded[i].log_probs == plain[i].log_probs);
  }
}

}  // namespace

TEST_CASE("recorded steps draw the bits of steps that are not", "[decode]") {
  if (!has_emulator()) return;
  for (const DType compute : {DType::f32, DType::bf16}) check_same(test::tiny_config(kVocab), compute);
}

TEST_CASE("recorded steps of a model with experts draw the bits of steps that are not", "[decode]") {
  if (!has_emulator()) return;
  auto config = test::tiny_config(kVocab);
  config.experts = 4;
  config.experts_per_token = 2;
  check_same(config, DType::bf16);
}

TEST_CASE("steps are recorded anew when the number of rows or the working memory changes", "[decode]") {
  if (!has_emulator()) return;
  Watch watch;
  const auto device = emulated(DType::f32, watch);
  auto model = test::tiny_model(*device, test::tiny_config(kVocab));
  model::KvCache cache(*device, model.config(), 2, 16);
  Step step(model, cache, {});
  const auto one = [&](int32_t position) { return step.run({{5}, {0}, {position}}, {0.5}); };
  one(0);
  CHECK(watch.recordings == 0);
  one(1);
  CHECK(watch.recordings == 1);
  one(2);
  CHECK(watch.recordings == 1);
  CHECK(watch.replays == 2);
  step.run({{5, 6}, {0, 1}, {3, 0}}, {0.5, 0.5});
  CHECK(watch.replays == 2);
  one(4);
  one(5);
  CHECK(watch.recordings == 2);
  model::CachedRows prompt;
  for (int32_t t = 0; t < 12; ++t) {
    prompt.ids.push_back(t);
    prompt.sequence.push_back(1);
    prompt.position.push_back(t);
  }
  model.forward_cached(cache, prompt);  // of more rows than any before: what they need is allocated anew
  one(6);
  CHECK(watch.recordings == 3);
  CHECK(watch.replays == 4);
}
