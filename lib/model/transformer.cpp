#include "model/transformer.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "base/error.hpp"
#include "model/block.hpp"
#include "model/pass.hpp"

namespace gristmill::model {

using runtime::Buffer;
using runtime::ConstView;
using runtime::Device;
using runtime::DType;
using runtime::Scratch;
using runtime::View;

void Batch::add(std::span<const uint32_t> document) {
  if (document_starts.empty()) document_starts.push_back(0);
  if (document.empty()) return;
  for (const uint32_t id : document) ids.push_back(static_cast<int32_t>(id));
  document_starts.push_back(static_cast<int32_t>(ids.size()));
}

KvCache::KvCache(Device& device, const Config& config, int64_t sequences, int64_t capacity)
    : sequences_(sequences), capacity_(capacity) {
  if (sequences < 1 || capacity < 1 || sequences > INT32_MAX / capacity) {
    fail(Kind::internal, "a cache of ", sequences, " sequences by ", capacity, " positions");
  }
  const int64_t width = config.kv_heads * config.head_dim;
  memory_ = Buffer(device, device.compute(), 2 * config.layers * sequences * capacity, width);
}

View KvCache::keys(int64_t layer) const {
  return memory_.view().row_range(2 * layer * sequences_ * capacity_, sequences_ * capacity_);
}
View KvCache::values(int64_t layer) const {
  return memory_.view().row_range((2 * layer + 1) * sequences_ * capacity_, sequences_ * capacity_);
}

namespace {

View upload(Device& device, Scratch& to, std::span<const int32_t> values) {
  const View view = to.get(DType::i32, static_cast<int64_t>(values.size()), 1);
  runtime::write_ints(device, view, values);
  return view;
}

std::string base_name(const Config& config, const char* llama, const char* gpt2) {
  return config.family == Family::llama ? llama : gpt2;
}

void check_ids(std::span<const int32_t> ids, const Config& config) {
  for (const int32_t id : ids) {
    if (id < 0 || id >= config.vocab_size) {
      fail(Kind::input, "token id ", id, " is outside the model's vocabulary of ", config.vocab_size);
    }
  }
}

/// Position of each token within its document.
std::vector<int32_t> batch_positions(const Batch& batch, const Config& config) {
  const auto& starts = batch.document_starts;
  if (batch.ids.empty() || starts.size() < 2 || starts.front() != 0 ||
      starts.back() != static_cast<int32_t>(batch.ids.size()) ||
      std::adjacent_find(starts.begin(), starts.end(), std::greater_equal<>()) != starts.end()) {
    fail(Kind::internal, "a batch needs tokens, and document starts that ascend from 0 to their number");
  }
  std::vector<int32_t> positions(batch.ids.size());
  for (size_t d = 0; d + 1 < starts.size(); ++d) {
    const int32_t length = starts[d + 1] - starts[d];
    if (length > config.context) {
      fail(Kind::input, "a text of ", length, " tokens is longer than the model's context of ",
           config.context);
    }
    for (int32_t t = 0; t < length; ++t) positions[static_cast<size_t>(starts[d] + t)] = t;
  }
  return positions;
}

Buffer rotary_frequencies(Device& device, const Config& config) {
  if (config.family != Family::llama) return {};
  const int64_t half = config.head_dim / 2;
  std::vector<double> values;
  for (int64_t i = 0; i < half; ++i) {
    values.push_back(std::pow(config.rope_theta, -static_cast<double>(i) / static_cast<double>(half)));
  }
  Buffer buffer(device, device.real(), 1, half);
  runtime::write_real(device, buffer.view(), std::span<const double>(values));
  return buffer;
}

}  // namespace

struct Transformer::State {
  State(Device& device_, const Config& config_, WeightStorage storage)
      : device(device_),
        config(config_),
        parameters(device, stored_table(config, storage), Residence::whole, number_type(device, storage)),
        embedding(parameter_index(parameters,
                                  base_name(config, "model.embed_tokens.weight", "transformer.wte.weight"))),
        final_norm(parameters, base_name(config, "model.norm", "transformer.ln_f"), config.norm_epsilon),
        frequencies(rotary_frequencies(device, config)),
        memory(device, config, recompute) {
    for (int64_t layer = 0; layer < config.layers; ++layer) blocks.emplace_back(parameters, config, layer);
    if (config.family == Family::gpt2) position_table = parameter_index(parameters, "transformer.wpe.weight");
    if (config.head == Head::scalar) {
      head = parameter_index(parameters, "score.weight");
    } else {
      head = config.tied ? embedding : parameter_index(parameters, "lm_head.weight");
    }
  }

  Run run(bool keep_all = false) {
    return {device, {parameters, gradients.get()}, memory.work, frequencies.view(), keep_all};
  }
  /// With whole layers computed anew one of them is in memory at a time, and is kept whole.
  bool keeps_all() const { return recompute != Recompute::norms; }
  bool tied() const { return config.head == Head::language && config.tied; }

  void embed(const Rows& rows, View out) {
    device.backend().embedding(out, parameters.view(embedding), rows.ids, false);
    if (config.family == Family::gpt2) {
      device.backend().embedding(out, parameters.view(position_table), rows.positions, true);
    }
  }
  /// Input of layer `layer`, or the final norm's.
  View stream(Pass& pass, int64_t layer) {
    Scratch& place = layer == config.layers ? pass.last : pass.input(layer);
    return place.get(device.real(), pass.rows.count, config.dim);
  }
  View scratch_gradient() {
    return memory.embedding_gradient.get(device.real(), config.vocab_size, config.dim);
  }
  View finish(Pass& pass) {
    const View hidden = pass.hidden.get(device.real(), pass.rows.count, config.dim);
    final_norm.forward(device.backend(), run().weights, hidden,
                       pass.statistics.get(device.real(), pass.rows.count, final_norm.statistics()),
                       stream(pass, config.layers));
    return hidden;
  }

  Device& device;
  Config config;
  ParameterSet parameters;
  std::unique_ptr<ParameterSet> gradients;
  Residence residence = Residence::whole;  ///< of the gradients
  size_t embedding, position_table = 0, head = 0;
  Norm final_norm;
  Buffer frequencies;
  std::vector<Block> blocks;
  Recompute recompute = Recompute::norms;
  PassMemory memory;
  bool head_pending = false;  ///< memory.embedding_gradient holds the head's part of this micro-batch
  bool can_go_back = false;
};

Transformer::Transformer(Device& device, const Config& config, WeightStorage storage)
    : state_(std::make_unique<State>(device, config, storage)) {}
Transformer::~Transformer() = default;
Transformer::Transformer(Transformer&&) noexcept = default;

const Config& Transformer::config() const { return state_->config; }
Device& Transformer::device() const { return state_->device; }
ParameterSet& Transformer::parameters() { return state_->parameters; }
const ParameterSet& Transformer::parameters() const { return state_->parameters; }

ParameterSet& Transformer::gradients() {
  auto& gradients = state_->gradients;
  if (state_->parameters.int8_arena()) fail(Kind::usage, "weights in int8 cannot be trained");
  if (gradients == nullptr)
    gradients = std::make_unique<ParameterSet>(state_->device, state_->parameters.table(), state_->residence);
  return *gradients;
}

void Transformer::zero_gradients() { state_->device.backend().fill(gradients().all(), 0); }

void Transformer::set_gradient_residence(Residence residence) {
  if (state_->gradients != nullptr) fail(Kind::internal, "the gradients are in memory already");
  state_->residence = residence;
}

void Transformer::set_recompute(Recompute recompute) {
  auto& s = *state_;
  s.recompute = recompute;
  s.can_go_back = false;
  s.memory = PassMemory(s.device, s.config, recompute);
}

Recompute Transformer::recompute() const { return state_->recompute; }

void Transformer::reserve(const PassExtent& extent) {
  auto& s = *state_;
  s.can_go_back = false;
  s.memory = PassMemory(s.device, s.config, s.recompute);  // first give back, then ask
  s.memory = reserve_passes(s.device, s.config, s.recompute, extent);
}

View Transformer::forward(const Batch& batch, bool keep) {
  auto& s = *state_;
  const auto positions = batch_positions(batch, s.config);
  check_ids(batch.ids, s.config);
  Pass& pass = keep ? s.memory.kept : s.memory.passing;
  pass.rows.count = batch.tokens();
  pass.rows.ids = upload(s.device, pass.ids, batch.ids);
  pass.rows.positions = upload(s.device, pass.positions, positions);
  pass.rows.document_starts = upload(s.device, pass.document_starts, batch.document_starts);
  Run run = s.run(keep && s.keeps_all());
  s.embed(pass.rows, s.stream(pass, 0));
  for (int64_t layer = 0; layer < s.config.layers; ++layer) {
    if (keep && s.config.experts > 0) run.counts = s.memory.router.of(s.device, s.config, layer);
    s.blocks[static_cast<size_t>(layer)].forward(run, pass.rows, s.stream(pass, layer),
                                                 pass.activations(layer), s.stream(pass, layer + 1));
  }
  if (keep) {
    s.can_go_back = true;
    s.head_pending = false;
  }
  return s.finish(pass);
}

RouterFigures Transformer::router_figures() {
  auto& s = *state_;
  if (s.config.experts == 0 || s.memory.kept.rows.count == 0)
    fail(Kind::internal, "router_figures() without experts or without a forward(keep = true) before it");
  return s.memory.router.read(s.device, s.config, s.memory.kept.rows.count);
}

void Transformer::backward(View dhidden, const RouterLosses& losses, const Finished& finished) {
  auto& s = *state_;
  if (!s.can_go_back) fail(Kind::internal, "backward() without a forward(keep = true) before it");
  s.can_go_back = false;
  Pass& pass = s.memory.kept;
  if (dhidden.rows != pass.rows.count || dhidden.cols != s.config.dim) {
    fail(Kind::internal, "backward() of ", dhidden.rows, " rows after a forward of ", pass.rows.count);
  }
  if (s.residence == Residence::turns && !finished)
    fail(Kind::internal, "gradients in turns need a listener");
  this->gradients();
  Run run = s.run(s.keeps_all());
  if (s.config.experts > 0)
    run.losses = s.memory.router.gradients(s.device, s.config, losses, pass.rows.count);
  s.final_norm.backward(s.device.backend(), run.weights, dhidden, false, dhidden,
                        s.stream(pass, s.config.layers),
                        pass.statistics.get(s.device.real(), pass.rows.count, s.final_norm.statistics()));
  const auto finish = [&](int64_t bucket) {
    if (finished) finished(bucket);
  };
  finish(s.config.layers + 1);
  for (int64_t layer = s.config.layers - 1; layer >= 0; --layer) {
    const Block& block = s.blocks[static_cast<size_t>(layer)];
    const View input = s.stream(pass, layer);
    // The last layer's activations are still there.
    const bool again = s.recompute == Recompute::block && layer + 1 < s.config.layers;
    if (again) block.forward(run, pass.rows, input, pass.activations(layer), {});
    block.backward(run, pass.rows, input, pass.activations(layer), dhidden);
    finish(layer + 1);
  }
  embedding_backward(dhidden);
  finish(0);
}

/// dhidden: the gradient of the first layer's input.
void Transformer::embedding_backward(ConstView dhidden) {
  auto& s = *state_;
  const Pass& pass = s.memory.kept;
  ParameterSet& gradients = this->gradients();
  auto& backend = s.device.backend();
  if (s.config.family == Family::gpt2) {
    backend.embedding_backward(gradients.view(s.position_table), dhidden, pass.rows.positions);
  }
  if (s.head_pending) {
    const View sum = s.scratch_gradient();
    backend.embedding_backward(sum, dhidden, pass.rows.ids);
    backend.axpy(gradients.view(s.embedding), 1, sum);
    s.head_pending = false;
  } else {
    backend.embedding_backward(gradients.view(s.embedding), dhidden, pass.rows.ids);
  }
}

void Transformer::head(const runtime::HeadValues& values, ConstView hidden, ConstView targets,
                       double logit_scale) {
  auto& s = *state_;
  if (s.config.head != Head::language)
    fail(Kind::internal, "a model with a scalar head gives no log-probabilities");
  s.device.backend().head(values, hidden, s.parameters.view(s.head), targets, logit_scale);
}

void Transformer::head_backward(View dhidden, const runtime::HeadValues& values, ConstView hidden,
                                ConstView targets, const runtime::HeadGradients& gradients,
                                double logit_scale) {
  auto& s = *state_;
  if (s.config.head != Head::language)
    fail(Kind::internal, "a model with a scalar head gives no log-probabilities");
  View dweight = this->gradients().view(s.head);
  bool adds = true;
  if (s.tied()) {
    dweight = s.scratch_gradient();
    adds = s.head_pending;
    s.head_pending = true;
  }
  s.device.backend().head_backward(dhidden, adds, dweight, values, hidden, s.parameters.view(s.head), targets,
                                   gradients, logit_scale);
}

void Transformer::scalar_head(View values, ConstView hidden) {
  auto& s = *state_;
  if (s.config.head != Head::scalar) fail(Kind::internal, "a language model has no scalar head");
  runtime::Matmul product;
  product.out = values;
  product.a = hidden;
  product.b = s.parameters.view(s.head);
  product.transpose_b = true;
  product.keep_b = true;
  s.device.backend().matmul(product);
}

void Transformer::scalar_head_backward(View dhidden, ConstView dvalues, ConstView hidden) {
  auto& s = *state_;
  if (s.config.head != Head::scalar) fail(Kind::internal, "a language model has no scalar head");
  runtime::Matmul weight;
  weight.out = gradients().view(s.head);
  weight.a = dvalues;
  weight.transpose_a = true;
  weight.b = hidden;
  weight.accumulate = true;
  s.device.backend().matmul(weight);
  runtime::Matmul input;
  input.out = dhidden;
  input.a = dvalues;
  input.b = s.parameters.view(s.head);
  input.keep_b = true;
  s.device.backend().matmul(input);
}

View Transformer::forward_cached(KvCache& cache, const CachedRows& rows) {
  place_cached(cache, rows);
  return run_cached(cache);
}

void Transformer::place_cached(const KvCache& cache, const CachedRows& rows) {
  auto& s = *state_;
  check_ids(rows.ids, s.config);
  std::vector<int32_t> slot, length;
  if (rows.ids.empty() || rows.sequence.size() != rows.ids.size() ||
      rows.position.size() != rows.ids.size()) {
    fail(Kind::internal, "forward_cached() needs an id, a sequence and a position a row");
  }
  const int64_t limit = std::min(cache.capacity(), s.config.context);
  for (size_t r = 0; r < rows.ids.size(); ++r) {
    if (rows.sequence[r] < 0 || rows.sequence[r] >= cache.sequences() || rows.position[r] < 0 ||
        rows.position[r] >= limit) {
      fail(Kind::internal, "row ", r, " is outside the cache or the context");
    }
    slot.push_back(static_cast<int32_t>(rows.sequence[r] * cache.capacity() + rows.position[r]));
    length.push_back(rows.position[r] + 1);
  }
  Pass& pass = s.memory.passing;
  pass.rows.count = static_cast<int64_t>(rows.ids.size());
  pass.rows.ids = upload(s.device, pass.ids, rows.ids);
  pass.rows.positions = upload(s.device, pass.positions, rows.position);
  pass.rows.sequence = upload(s.device, pass.sequence, rows.sequence);
  pass.rows.slot = upload(s.device, pass.slot, slot);
  pass.rows.length = upload(s.device, pass.length, length);
}

View Transformer::run_cached(KvCache& cache) {
  auto& s = *state_;
  Pass& pass = s.memory.passing;
  if (!pass.rows.slot) fail(Kind::internal, "run_cached() without a place_cached() before it");
  const Run run = s.run();
  s.embed(pass.rows, s.stream(pass, 0));
  for (int64_t layer = 0; layer < s.config.layers; ++layer) {
    s.blocks[static_cast<size_t>(layer)].forward_cached(
        run, pass.rows, s.stream(pass, layer), pass.activations(layer), s.stream(pass, layer + 1),
        cache.keys(layer), cache.values(layer), cache.capacity());
  }
  return s.finish(pass);
}

void Transformer::logits(View logits, ConstView hidden) {
  auto& s = *state_;
  if (s.config.head != Head::language) fail(Kind::internal, "a model with a scalar head gives no logits");
  runtime::Matmul product;
  product.out = logits;
  product.a = hidden;
  product.b = s.parameters.view(s.head);
  product.transpose_b = true;
  product.keep_b = true;
  s.device.backend().matmul(product);
}

}  // namespace gristmill::model
