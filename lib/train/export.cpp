#include "train/export.hpp"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/log.hpp"
#include "train/folders.hpp"

namespace gristmill::train {

namespace fs = std::filesystem;

namespace {

/// An absolute path without links and without a slash at its end; what is not there yet is taken as written.
fs::path resolved(const std::string& path) {
  std::error_code error;
  fs::path result = fs::weakly_canonical(fs::absolute(path), error);
  if (error) result = fs::absolute(path).lexically_normal();
  return result.has_filename() ? result : result.parent_path();
}

fs::path temporary_of(const fs::path& target) { return fs::path(target) += ".saving"; }

bool is_within(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
}

/// Whether model::save_model() leaves a file of this name when it does not come to its end.
bool is_of_unfinished_export(std::string_view name) {
  const size_t suffix = name.find(".tmp.");  // of a file that is being written
  const bool whole = suffix == std::string_view::npos;
  name = name.substr(0, suffix);
  const bool weights = name.starts_with("model") && name.ends_with(".safetensors");
  return weights || name == "model.safetensors.index.json" || name == "generation_config.json" ||
         name == "tokenizer.json" || name == "tokenizer_config.json" || (name == "config.json" && !whole);
}

void check_temporary(const fs::path& temporary) {
  const auto refuse = [&](const std::string& what) {
    fail(Kind::usage, "--export is written under the name ", temporary.string(), " first, and that ", what,
         "; take it away or name another folder");
  };
  std::error_code error;
  const auto status = fs::symlink_status(temporary, error);
  if (!fs::exists(status)) return;
  if (!fs::is_directory(status)) refuse("is a file");
  for (const auto& entry : fs::directory_iterator(temporary, error)) {
    const std::string name = entry.path().filename().string();
    if (!is_of_unfinished_export(name)) refuse("holds " + name + ", which no unfinished export leaves");
  }
  if (error) fail(Kind::io, "cannot read ", temporary.string(), ": ", error.message());
}

void check_beside(const fs::path& target, const std::string& run_dir) {
  const fs::path run = resolved(run_dir);
  const char* how = target == run                          ? "is"
                    : is_within(target, run)               ? "lies in"
                    : is_within(run, target)               ? "holds"
                    : is_within(run, temporary_of(target)) ? "is first written over"
                                                           : nullptr;
  if (how == nullptr) return;
  fail(Kind::usage, "--export ", target.string(), " ", how, " the run directory ", run_dir,
       "; name a folder beside it");
}

}  // namespace

void check_export(const ExportOptions& options, const std::string& run_dir) {
  if (options.directory.empty()) {
    if (options.form_given)
      fail(Kind::usage, "--save-dtype and --max-shard-size are of no use without --export");
    return;
  }
  const fs::path target = resolved(options.directory);
  check_beside(target, run_dir);
  check_temporary(temporary_of(target));
  std::error_code error;
  const auto status = fs::symlink_status(target, error);
  if (!fs::exists(status) || (fs::is_directory(status) && fs::is_empty(target, error))) return;
  fail(Kind::usage, "--export ", options.directory,
       " is there already; name a new folder or take the old one away");
}

void export_model(const model::Transformer& model, const std::string& tokenizer,
                  const ExportOptions& options) {
  if (options.directory.empty()) return;
  const fs::path target = resolved(options.directory), temporary = temporary_of(target);
  check_temporary(temporary);
  remove_folder(temporary);
  UnfinishedFolder unfinished(temporary);
  make_folder(temporary);
  model::save_model(model, temporary.string(), tokenizer, {options.type, options.max_shard_size});
  rename_durably(temporary.string(), target.string());  // over an empty folder, but over no other
  unfinished.keep();
  log::info("exported ", options.directory);
}

}  // namespace gristmill::train
