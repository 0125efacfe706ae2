#include "train/run_directory.hpp"

#include <filesystem>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"

namespace gristmill::train {

namespace fs = std::filesystem;

namespace {

/// A TOML value. JSON's spelling of strings, numbers, booleans and flat arrays is TOML's too.
std::string toml_value(const Json& value) { return value.dump(); }

bool is_bare_key(std::string_view key) {
  for (const char c : key) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && c != '-' && c != '_') return false;
  }
  return !key.empty();
}

std::string toml_key(std::string_view key) { return is_bare_key(key) ? std::string(key) : Json(key).dump(); }

void append_members(std::string& out, const Json& object) {
  for (const auto& [key, value] : object.as_object()) {
    if (value.is_null() || value.is_object()) continue;
    out += toml_key(key) + " = " + toml_value(value) + "\n";
  }
}

/// What a run's weights do not depend on may change when it is resumed.
bool is_free(std::string_view key) {
  return key == "checkpoint-every" || key == "validate-every" || key == "keep-checkpoints" ||
         key == "recompute";
}

/// Members of objects as members of the whole.
Json flattened(const Json& record) {
  Json flat = Json::object();
  for (const auto& [key, value] : record.as_object()) {
    if (!value.is_object()) flat[key] = value;
    if (value.is_object())
      for (const auto& [name, fact] : value.as_object()) flat[name] = fact;
  }
  return flat;
}

std::string shown(const Json* value) { return value == nullptr ? "absent" : value->dump(); }

}  // namespace

void open_run_directory(const std::string& run_dir, bool resume) {
  const fs::path root(run_dir);
  if (!resume) {
    for (const char* sign : {"metrics.jsonl", "checkpoints", "config.toml"}) {
      if (fs::exists(root / sign)) {
        fail(Kind::usage, run_dir, ": holds a run already (", sign,
             "); go on with --resume or choose another --run-dir");
      }
    }
  }
  std::error_code error;
  fs::create_directories(root / "checkpoints", error);
  if (error)
    fail(Kind::io, "cannot make the folder ", (root / "checkpoints").string(), ": ", error.message());
}

void write_config(const std::string& run_dir, const Json& record) {
  std::string text;
  append_members(text, record);
  for (const auto& [key, value] : record.as_object()) {
    if (!value.is_object()) continue;
    for (const auto& [name, fact] : value.as_object()) text += str("# ", name, ": ", fact.dump(), "\n");
  }
  write_file((fs::path(run_dir) / "config.toml").string(), text);
}

void require_same_options(const Json& saved_record, const Json& record, const std::string& checkpoint) {
  const Json saved = flattened(saved_record), now = flattened(record);
  std::vector<std::string> differences;
  for (const auto& [key, value] : now.as_object()) {
    const Json* before = saved.find(key);
    if (is_free(key)) continue;
    if (before == nullptr || *before != value)
      differences.push_back(str(key, " (was ", shown(before), ", now ", value.dump(), ")"));
  }
  for (const auto& [key, value] : saved.as_object()) {
    if (now.find(key) == nullptr && !is_free(key))
      differences.push_back(str(key, " (was ", value.dump(), ", now absent)"));
  }
  if (differences.empty()) return;
  fail(Kind::usage, checkpoint, ": was made with other options: ", join(differences, ", "),
       "; resume with the same ones, or start anew with --init");
}

}  // namespace gristmill::train
