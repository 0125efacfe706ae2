#include "train/folders.hpp"

#include <system_error>
#include <utility>

#include "base/error.hpp"

namespace gristmill::train {

namespace fs = std::filesystem;

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) fail(Kind::io, "cannot make the folder ", path.string(), ": ", error.message());
}

void remove_folder(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) fail(Kind::io, "cannot remove ", path.string(), ": ", error.message());
}

UnfinishedFolder::UnfinishedFolder(fs::path path) : path_(std::move(path)) {}

UnfinishedFolder::~UnfinishedFolder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

}  // namespace gristmill::train
