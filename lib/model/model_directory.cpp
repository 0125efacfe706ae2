// Loading model directories. Names follow Hugging Face's, with the liberties that files in the wild take: a
// tied head may be stored beside the embedding, and old exports hold attention masks.

#include "model/model_directory.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "base/rng.hpp"
#include "model/safetensors.hpp"
#include "model/weight_files.hpp"

namespace gristmill::model {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxConfigBytes = 1 << 20;

std::string shape_text(const std::vector<int64_t>& shape) {
  std::vector<std::string> parts;
  for (const int64_t extent : shape) parts.push_back(str(extent));
  return "[" + join(parts, ", ") + "]";
}

/// Buffers that old exports store among the weights, and the copy of a tied head.
bool is_ignorable(const std::string& stored, const Config& config) {
  if (stored.ends_with(".attn.bias") || stored.ends_with(".attn.masked_bias"))
    return config.family == Family::gpt2;
  if (stored.ends_with("rotary_emb.inv_freq")) return config.family == Family::llama;
  return stored == "lm_head.weight";
}

void refuse_unknown(const WeightFiles& files, const std::vector<ParameterInfo>& table, const Config& config) {
  std::set<std::string> known;
  for (const auto& info : table) {
    if (const auto stored = files.stored_name(info.name)) known.insert(*stored);
  }
  for (const auto& [stored, owner] : files.names()) {
    if (known.contains(stored) || is_ignorable(stored, config)) continue;
    if (stored == "score.weight")
      fail(Kind::input, files.where(stored), ": this is a reward model, not a language model");
    fail(Kind::input, files.where(stored),
         " is none of this architecture's; the model would differ from the file");
  }
}

template <class Value>
void check_finite(const std::vector<Value>& values, const std::string& where) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i]))
      fail(Kind::input, where, " holds ", values[i], " at element ", i, "; use an earlier checkpoint");
  }
}

/// All of it from the files' headers: what a configuration claims is not allocated before the files confirm
/// it.
void check_files(const WeightFiles& files, const std::string& directory, const Config& config,
                 bool may_lack_score) {
  const auto table = parameter_table(config);
  refuse_unknown(files, table, config);
  for (const auto& info : table) {
    const auto stored = files.stored_name(info.name);
    if (!stored && info.name == "score.weight" && may_lack_score) continue;
    if (!stored) fail(Kind::input, directory, ": tensor ", info.name, " is missing");
    const auto& shape = files.file_of(*stored).tensors().at(*stored).shape;
    if (shape == info.shape) continue;
    fail(Kind::input, files.where(*stored), " has shape ", shape_text(shape), "; the configuration needs ",
         shape_text(info.shape));
  }
}

void load_tensor(ParameterSet& parameters, size_t index, const WeightFiles& files,
                 const std::string& stored) {
  const auto& file = files.file_of(stored);
  if (parameters.device().real() == runtime::DType::f64) {
    const auto values = file.read_double(stored);
    check_finite(values, files.where(stored));
    write_parameter(parameters, index, std::span<const double>(values));
  } else {
    const auto values = file.read_float(stored);
    check_finite(values, files.where(stored));
    write_parameter(parameters, index, std::span<const float>(values));
  }
}

/// Some exports store a tied head beside the embedding. One that differs was not tied.
void check_tied_head(const WeightFiles& files, const Config& config) {
  if (!config.tied || !files.names().contains("lm_head.weight")) return;
  const bool llama = config.family == Family::llama;
  const auto embedding = files.stored_name(llama ? "model.embed_tokens.weight" : "transformer.wte.weight");
  if (!embedding || files.file_of(*embedding).read_float(*embedding) ==
                        files.file_of("lm_head.weight").read_float("lm_head.weight")) {
    return;
  }
  fail(Kind::input, files.where("lm_head.weight"), " differs from ", *embedding,
       ", but tie_word_embeddings = true; set it to false in config.json if the model has a head of its own");
}

/// After check_files().
void load_into(ParameterSet& parameters, const WeightFiles& files) {
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (const auto stored = files.stored_name(parameters.table()[i].name))
      load_tensor(parameters, i, files, *stored);
  }
}

std::optional<int64_t> step_of(const fs::path& path) {
  const std::string name = path.filename().string();
  if (!name.starts_with("step-")) return std::nullopt;
  return parse_int(std::string_view(name).substr(5));
}

}  // namespace

std::string last_checkpoint(const std::string& run_directory) {
  std::error_code error;
  std::string best;
  int64_t best_step = -1;
  for (const auto& entry : fs::directory_iterator(fs::path(run_directory) / "checkpoints", error)) {
    const auto step = step_of(entry.path());
    if (!step || *step <= best_step || !fs::exists(entry.path() / "config.json")) continue;
    best_step = *step;
    best = entry.path().string();
  }
  return best;
}

std::string resolve_model_directory(const std::string& path) {
  if (fs::exists(fs::path(path) / "config.json")) return path;
  const std::string checkpoint = last_checkpoint(path);
  if (!checkpoint.empty()) return checkpoint;
  fail(Kind::input, path, ": no model here: looked for config.json and for checkpoints/step-N/config.json");
}

Config load_config(const std::string& path) {
  const std::string file = (fs::path(resolve_model_directory(path)) / "config.json").string();
  return Config::from_json(read_json_file(file, kMaxConfigBytes), file);
}

std::unique_ptr<Transformer> load_model(runtime::Device& device, const std::string& path, Head head,
                                        uint64_t seed, WeightStorage storage) {
  const std::string directory = resolve_model_directory(path);
  Config config = load_config(directory);
  if (config.head == Head::scalar && head == Head::language) {
    fail(Kind::input, directory, ": this is a reward model (one number a position), not a language model");
  }
  const bool new_score = config.head == Head::language && head == Head::scalar;
  config.head = head;
  const WeightFiles files(directory);
  check_files(files, directory, config, new_score);
  check_tied_head(files, config);
  auto model = std::make_unique<Transformer>(device, config, storage);
  if (new_score) initialize(model->parameters(), seed);
  load_into(model->parameters(), files);
  return model;
}

void load_weights(Transformer& model, const std::string& directory) {
  const Config config = load_config(directory);
  if (config != model.config())
    fail(Kind::input, directory, ": the configuration is another than the model's");
  const WeightFiles files(directory);
  check_files(files, directory, config, false);
  check_tied_head(files, config);
  load_into(model.parameters(), files);
}

std::string tokenizer_hash(const std::string& path) {
  const std::string file = (fs::path(resolve_model_directory(path)) / "config.json").string();
  const Json config = read_json_file(file, kMaxConfigBytes);
  const Json* hash = config.find("gristmill_tokenizer");
  return hash != nullptr && hash->is_string() ? hash->as_string() : "";
}

}  // namespace gristmill::model
