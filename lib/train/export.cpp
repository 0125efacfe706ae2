#include "train/export.hpp"

#include <filesystem>
#include <system_error>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/log.hpp"

namespace gristmill::train {

namespace fs = std::filesystem;

void check_export(const ExportOptions& options) {
  if (options.directory.empty()) return;
  std::error_code error;
  if (!fs::exists(options.directory, error)) return;
  if (fs::is_directory(options.directory, error) && fs::is_empty(options.directory, error)) return;
  fail(Kind::usage, "--export ", options.directory,
       " is there already; name a new folder or take the old one away");
}

void export_model(const model::Transformer& model, const std::string& tokenizer,
                  const ExportOptions& options) {
  if (options.directory.empty()) return;
  const fs::path target = fs::absolute(options.directory).lexically_normal();
  fs::path temporary = target.has_filename() ? target : target.parent_path();
  const std::string name = temporary.string();
  temporary += ".saving";
  try {
    fs::remove_all(temporary);
    fs::create_directories(temporary);
    model::save_model(model, temporary.string(), tokenizer, {options.type, options.max_shard_size});
    fs::remove(name);  // an empty folder
    rename_durably(temporary.string(), name);
  } catch (const fs::filesystem_error& error) {
    fail(Kind::io, "cannot write ", options.directory, ": ", error.code().message());
  } catch (const Error&) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);  // on a full disk it takes the space that others need
    throw;
  }
  log::info("exported ", options.directory);
}

}  // namespace gristmill::train
