#pragma once

// A folder of a test's own, gone when the test ends.
#include <unistd.h>

#include <filesystem>
#include <string>

#include "support/catch.hpp"

namespace gristmill::test {

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "gristmill-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Path of a file in the folder.
  std::string file(const std::string& name) const { return (path_ / name).string(); }
  /// How many entries the folder has.
  size_t entries() const {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) count += entry.exists();
    return count;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace gristmill::test
