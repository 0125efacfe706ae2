#include "train/run_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/hash.hpp"
#include "train/folders.hpp"

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

/// What a run's weights do not depend on may change when it is resumed. But ranks meet at every checkpoint
/// and every validation, and exchange gradients in one way.
bool is_free(std::string_view key, Between between) {
  if (key == "checkpoint-every" || key == "validate-every" || key == "zero") return between == Between::runs;
  return key == "keep-checkpoints" || key == "recompute";
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

RunLock::RunLock(const std::string& run_dir)
    : descriptor_(::open((fs::path(run_dir) / ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0) fail_errno("cannot write", (fs::path(run_dir) / ".lock").string());
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  ::close(std::exchange(descriptor_, -1));
  fail(Kind::usage, run_dir, ": another process is training there; wait for its end, or stop it");
}

RunLock::~RunLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

RunLock::RunLock(RunLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

void check_run_directory(const std::string& run_dir, bool resume) {
  if (resume) return;
  for (const char* sign : {"metrics.jsonl", "checkpoints", "config.toml"}) {
    if (!fs::exists(fs::path(run_dir) / sign)) continue;
    fail(Kind::usage, run_dir, ": holds a run already (", sign,
         "); go on with --resume or choose another --run-dir");
  }
}

RunLock open_run_directory(const std::string& run_dir, bool resume) {
  check_run_directory(run_dir, resume);
  make_folder(fs::path(run_dir) / "checkpoints");
  return RunLock(run_dir);
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

std::vector<std::string> differences(const Json& before, const Json& now, Between between) {
  const Json old = flattened(before), current = flattened(now);
  std::vector<std::string> found;
  for (const auto& [key, value] : current.as_object()) {
    const Json* was = old.find(key);
    if (is_free(key, between)) continue;
    if (was == nullptr || *was != value)
      found.push_back(str(key, " (was ", shown(was), ", now ", value.dump(), ")"));
  }
  for (const auto& [key, value] : old.as_object()) {
    if (current.find(key) == nullptr && !is_free(key, between))
      found.push_back(str(key, " (was ", value.dump(), ", now absent)"));
  }
  return found;
}

Json fingerprint(const Json& record) {
  constexpr size_t kLong = 256;
  Json result = flattened(record);
  for (auto& [key, value] : result.as_object()) {
    const std::string text = value.dump();
    if (text.size() > kLong) value = "hash " + xxh128_hex(text);
  }
  return result;
}

void require_same_options(const Json& saved, const Json& now, const std::string& checkpoint) {
  const auto found = differences(saved, now);
  if (found.empty()) return;
  fail(Kind::usage, checkpoint, ": was made with other options: ", join(found, ", "),
       "; resume with the same ones, or start anew with --init");
}

}  // namespace gristmill::train
