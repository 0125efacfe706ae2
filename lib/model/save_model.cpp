// Saving a model directory, config.json last: a folder that has one is whole.

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/hash.hpp"
#include "base/json.hpp"
#include "model/model_directory.hpp"

namespace gristmill::model {

namespace fs = std::filesystem;

namespace {

/// Copies the tokenizer's files; the hash of tokenizer.json, "" when there is none to copy.
std::string copy_tokenizer(const std::string& tokenizer, const std::string& directory) {
  if (tokenizer.empty()) return "";
  const fs::path source(tokenizer), target(directory);
  const bool folder = fs::is_directory(source);
  const std::string text = read_file((folder ? source / "tokenizer.json" : source).string());
  write_file((target / "tokenizer.json").string(), text);
  const fs::path settings = (folder ? source : source.parent_path()) / "tokenizer_config.json";
  if (fs::exists(settings)) {
    write_file((target / "tokenizer_config.json").string(), read_file(settings.string()));
  }
  return xxh128_hex(text);
}

/// The tables' indices in groups of at most `max_bytes` (a larger tensor stands alone); 0 = one group.
std::vector<std::vector<size_t>> files_of(const std::vector<ParameterInfo>& table, StoredType type,
                                          uint64_t max_bytes) {
  const uint64_t width = type == StoredType::f32 ? 4 : 2;
  std::vector<std::vector<size_t>> files(1);
  uint64_t bytes = 0;
  for (size_t i = 0; i < table.size(); ++i) {
    const uint64_t size = width * static_cast<uint64_t>(table[i].size());
    if (max_bytes > 0 && !files.back().empty() && bytes + size > max_bytes) {
      files.emplace_back();
      bytes = 0;
    }
    files.back().push_back(i);
    bytes += size;
  }
  return files;
}

void write_weights(const ParameterSet& parameters, const std::vector<size_t>& indices, StoredType type,
                   const std::string& path) {
  SafetensorsWriter writer;
  writer.set_metadata("format", "pt");  // transformers refuses files without it
  for (const size_t i : indices) {
    const auto& info = parameters.table()[i];
    writer.add(info.name, info.shape, parameters.device(), parameters.view(i), type);
  }
  writer.write(path);
}

/// "model-00002-of-00003.safetensors".
std::string part_name(size_t part, size_t parts) {
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", part + 1, parts);
  return name;
}

void write_parts(const ParameterSet& parameters, const std::vector<std::vector<size_t>>& files,
                 StoredType type, const fs::path& root) {
  Json index = Json::object();
  uint64_t total = 0;
  for (size_t part = 0; part < files.size(); ++part) {
    const std::string name = part_name(part, files.size());
    write_weights(parameters, files[part], type, (root / name).string());
    for (const size_t i : files[part]) {
      index["weight_map"][parameters.table()[i].name] = name;
      total += static_cast<uint64_t>(parameters.table()[i].size()) * (type == StoredType::f32 ? 4 : 2);
    }
  }
  index["metadata"]["total_size"] = total;
  write_file((root / "model.safetensors.index.json").string(), index.dump(2) + "\n");
}

}  // namespace

void save_model(const Transformer& model, const std::string& directory,
                const std::string& tokenizer_directory, const SaveOptions& options) {
  const fs::path root(directory);
  const auto& parameters = model.parameters();
  const auto files = files_of(parameters.table(), options.type, options.max_file_bytes);
  // A folder holds one form: what an earlier save left in the other would be read instead.
  if (files.size() == 1) {
    write_weights(parameters, files.front(), options.type, (root / "model.safetensors").string());
    fs::remove(root / "model.safetensors.index.json");
  } else {
    write_parts(parameters, files, options.type, root);
    fs::remove(root / "model.safetensors");
  }
  Json generation = Json::object();
  generation["bos_token_id"] = uint64_t{model.config().bos_token};
  generation["eos_token_id"] = uint64_t{model.config().eos_token};
  generation["pad_token_id"] = uint64_t{model.config().pad_token};
  write_file((root / "generation_config.json").string(), generation.dump(2) + "\n");
  Json config = model.config().to_json();
  config["torch_dtype"] = options.type == StoredType::f32   ? "float32"
                          : options.type == StoredType::f16 ? "float16"
                                                            : "bfloat16";
  const std::string tokenizer = copy_tokenizer(tokenizer_directory, directory);
  if (!tokenizer.empty()) config["gristmill_tokenizer"] = tokenizer;
  write_file((root / "config.json").string(), config.dump(2) + "\n");
}

}  // namespace gristmill::model
