#include "model/weight_files.hpp"

#include <filesystem>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/str.hpp"

namespace gristmill::model {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxIndexBytes = uint64_t{64} << 20;
constexpr size_t kMaxFiles = 512;  // each stays open

/// Number of each file that the index names.
std::map<std::string, size_t> files_in(const Json& map, const std::string& path) {
  std::map<std::string, size_t> files;
  for (const auto& [tensor, file] : map.as_object()) files.emplace(file.as_string(), 0);
  if (files.size() > kMaxFiles) fail(Kind::input, path, ": names more than ", kMaxFiles, " files");
  size_t number = 0;
  for (auto& [name, place] : files) {
    if (name.empty() || name.find_first_of(std::string("/\\\0", 3)) != std::string::npos || name == "." ||
        name == "..") {
      fail(Kind::input, path, ": ", in_quotes(name), " is no name of a file in the folder");
    }
    place = number++;
  }
  return files;
}

}  // namespace

WeightFiles::WeightFiles(const std::string& directory) : directory_(directory) {
  const fs::path root(directory);
  if (fs::exists(root / "model.safetensors")) {
    open("model.safetensors");
  } else if (fs::exists(root / "model.safetensors.index.json")) {
    open_index((root / "model.safetensors.index.json").string());
  } else {
    fail(Kind::input, directory, ": neither model.safetensors nor model.safetensors.index.json is there");
  }
}

std::optional<std::string> WeightFiles::stored_name(const std::string& name) const {
  if (owner_.contains(name)) return name;
  for (const std::string prefix : {"transformer.", "model."}) {
    if (name.starts_with(prefix) && owner_.contains(name.substr(prefix.size())))
      return name.substr(prefix.size());
  }
  return std::nullopt;
}

std::string WeightFiles::where(const std::string& stored) const {
  return str(directory_, ": tensor ", stored);
}

void WeightFiles::open(const std::string& file_name) {
  files_.push_back(std::make_unique<SafetensorsReader>((fs::path(directory_) / file_name).string()));
  for (const auto& [name, info] : files_.back()->tensors()) {
    if (!owner_.emplace(name, files_.size() - 1).second) fail(Kind::input, where(name), " is in two files");
  }
}

void WeightFiles::open_index(const std::string& path) {
  const Json index = read_json_file(path, kMaxIndexBytes);
  const Json* map = index.find("weight_map");
  if (map == nullptr || !map->is_object()) fail(Kind::input, path, ": there is no object weight_map");
  const auto files = files_in(*map, path);
  for (const auto& [name, number] : files) open(name);
  for (const auto& [tensor, file] : map->as_object()) {
    const auto found = owner_.find(tensor);
    if (found == owner_.end()) fail(Kind::input, path, ": tensor ", in_quotes(tensor), " is in no file");
    if (found->second != files.at(file.as_string())) {
      fail(Kind::input, path, ": tensor ", in_quotes(tensor), " is not in ", file.as_string(),
           " but in another file");
    }
  }
  if (map->as_object().size() == owner_.size()) return;
  for (const auto& [name, number] : owner_) {
    if (map->find(name) == nullptr) fail(Kind::input, path, ": does not name ", where(name));
  }
}

}  // namespace gristmill::model
