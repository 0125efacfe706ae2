#pragma once

// What an action that fails says.

#include <functional>
#include <string>

#include "base/error.hpp"
#include "support/catch.hpp"

namespace gristmill::runtime::test {

/// The message of the error of that kind that `action` throws; without one the test fails.
inline std::string message_of(Kind kind, const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  FAIL("no error");
  return {};
}
inline std::string message_of(const std::function<void()>& action) {
  return message_of(Kind::device, action);
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace gristmill::runtime::test
