// Loading and saving model directories. Names follow Hugging Face's, with the liberties that files in the
// wild take: GPT-2's published weights lack the "transformer." in front, a tied head may be stored beside the
// embedding, and old exports hold attention masks.

#include "model/model_directory.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
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

namespace gristmill::model {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxConfigBytes = 1 << 20;

std::string shape_text(const std::vector<int64_t>& shape) {
  std::vector<std::string> parts;
  for (const int64_t extent : shape) parts.push_back(str(extent));
  return "[" + join(parts, ", ") + "]";
}

/// All weight files of a model directory: one, or those that the index names.
class WeightFiles {
 public:
  explicit WeightFiles(const std::string& directory) : directory_(directory) {
    const fs::path root(directory);
    if (fs::exists(root / "model.safetensors")) {
      open("model.safetensors");
    } else if (fs::exists(root / "model.safetensors.index.json")) {
      open_index((root / "model.safetensors.index.json").string());
    } else {
      fail(Kind::input, directory, ": neither model.safetensors nor model.safetensors.index.json is there");
    }
  }

  /// The file's name for `name`, with or without the prefix of the body.
  std::optional<std::string> stored_name(const std::string& name) const {
    if (owner_.contains(name)) return name;
    for (const std::string prefix : {"transformer.", "model."}) {
      if (name.starts_with(prefix) && owner_.contains(name.substr(prefix.size())))
        return name.substr(prefix.size());
    }
    return std::nullopt;
  }
  const SafetensorsReader& file_of(const std::string& stored) const { return *files_[owner_.at(stored)]; }
  const std::map<std::string, size_t>& names() const { return owner_; }
  std::string where(const std::string& stored) const { return str(directory_, ": tensor ", stored); }

 private:
  void open(const std::string& file_name) {
    files_.push_back(std::make_unique<SafetensorsReader>((fs::path(directory_) / file_name).string()));
    for (const auto& [name, info] : files_.back()->tensors()) {
      if (!owner_.emplace(name, files_.size() - 1).second) fail(Kind::input, where(name), " is in two files");
    }
  }
  void open_index(const std::string& path) {
    const Json index = read_json_file(path, uint64_t{64} << 20);
    std::set<std::string> names;
    for (const auto& [tensor, file] : index.at("weight_map").as_object()) names.insert(file.as_string());
    for (const auto& name : names) {
      if (name.empty() || name.find('/') != std::string::npos || name == "..") {
        fail(Kind::input, path, ": ", in_quotes(name), " is no name of a file in the folder");
      }
      open(name);
    }
    for (const auto& [tensor, file] : index.at("weight_map").as_object()) {
      if (!owner_.contains(tensor)) fail(Kind::input, path, ": tensor ", in_quotes(tensor), " is in no file");
    }
  }

  std::string directory_;
  std::vector<std::unique_ptr<SafetensorsReader>> files_;
  std::map<std::string, size_t> owner_;
};

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
    runtime::write_real(parameters.device(), parameters.view(index), std::span<const double>(values));
  } else {
    const auto values = file.read_float(stored);
    check_finite(values, files.where(stored));
    runtime::write_real(parameters.device(), parameters.view(index), std::span<const float>(values));
  }
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

void copy_whole(const fs::path& from, const fs::path& to) {
  write_file(to.string(), read_file(from.string()));
}

void copy_tokenizer(const std::string& tokenizer, const std::string& directory) {
  if (tokenizer.empty()) return;
  const fs::path source(tokenizer), target(directory);
  const bool folder = fs::is_directory(source);
  copy_whole(folder ? source / "tokenizer.json" : source, target / "tokenizer.json");
  const fs::path settings = (folder ? source : source.parent_path()) / "tokenizer_config.json";
  if (fs::exists(settings)) copy_whole(settings, target / "tokenizer_config.json");
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
                                        uint64_t seed) {
  const std::string directory = resolve_model_directory(path);
  Config config = load_config(directory);
  if (config.head == Head::scalar && head == Head::language) {
    fail(Kind::input, directory, ": this is a reward model (one number a position), not a language model");
  }
  const bool new_score = config.head == Head::language && head == Head::scalar;
  config.head = head;
  const WeightFiles files(directory);
  check_files(files, directory, config, new_score);
  auto model = std::make_unique<Transformer>(device, config);
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
  load_into(model.parameters(), files);
}

void save_model(const Transformer& model, const std::string& directory,
                const std::string& tokenizer_directory) {
  const fs::path root(directory);
  SafetensorsWriter writer;
  writer.set_metadata("format", "pt");  // transformers refuses files without it
  const auto& parameters = model.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto values = runtime::read_float(parameters.device(), parameters.view(i));
    writer.add(parameters.table()[i].name, parameters.table()[i].shape, std::span<const float>(values));
  }
  writer.write((root / "model.safetensors").string());
  Json generation = Json::object();
  generation["bos_token_id"] = uint64_t{model.config().bos_token};
  generation["eos_token_id"] = uint64_t{model.config().eos_token};
  generation["pad_token_id"] = uint64_t{model.config().pad_token};
  write_file((root / "generation_config.json").string(), generation.dump(2) + "\n");
  copy_tokenizer(tokenizer_directory, directory);
  write_file((root / "config.json").string(), model.config().to_json().dump(2) + "\n");
}

}  // namespace gristmill::model
