#pragma once

// Test data beside the project (GRISTMILL_TEST_DATA) and inside it (testdata/).
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>

#include "support/catch.hpp"

namespace gristmill::test {

/// Path of a file in the external data folder; nothing when the folder is not there.
inline std::optional<std::filesystem::path> external_data(const std::string& relative) {
  const char* root = std::getenv("GRISTMILL_TEST_DATA");
  if (root == nullptr || *root == '\0') return std::nullopt;
  auto path = std::filesystem::path(root) / relative;
  if (!std::filesystem::exists(path)) return std::nullopt;
  return path;
}

/// Path of a file in the project's own testdata folder.
inline std::filesystem::path testdata(const std::string& relative) {
  return std::filesystem::path(GRISTMILL_TESTDATA) / relative;
}

}  // namespace gristmill::test

/// Defines `name` as the path of external data, or marks the test as skipped and returns.
/// With GRISTMILL_REQUIRE_DATA set a skip is a failure.
#define REQUIRE_EXTERNAL_DATA(name, relative)                                                  \
  const auto name##_found = gristmill::test::external_data(relative);                          \
  if (!name##_found) {                                                                         \
    if (std::getenv("GRISTMILL_REQUIRE_DATA") != nullptr) FAIL("test data absent: " relative); \
    std::cout << "[skipped] test data absent: " << (relative) << std::endl;                    \
    return;                                                                                    \
  }                                                                                            \
  const std::filesystem::path name = *name##_found
