#pragma once

// Folders of checkpoints and exports, which appear whole or not at all: filled under a temporary name, then
// renamed.

#include <filesystem>

namespace gristmill::train {

/// With those above it; Error{io} that names it.
void make_folder(const std::filesystem::path& path);
/// With all that is in it, if it is there; Error{io} that names it.
void remove_folder(const std::filesystem::path& path);

/// Takes a folder away unless it is kept: what an error leaves of it takes the space that others need, on a
/// full disk.
class UnfinishedFolder {
 public:
  /// The folder may not be there yet; "" = none.
  explicit UnfinishedFolder(std::filesystem::path path);
  ~UnfinishedFolder();
  UnfinishedFolder(const UnfinishedFolder&) = delete;
  UnfinishedFolder& operator=(const UnfinishedFolder&) = delete;
  void keep() { path_.clear(); }

 private:
  std::filesystem::path path_;
};

}  // namespace gristmill::train
