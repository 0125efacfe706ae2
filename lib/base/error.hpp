#pragma once

// One exception type for the whole toolchain. A message says what is wrong, where, and what to do.
// Damaged records are not errors but counted data; a damaged file is an error.

#include <stdexcept>
#include <string>

#include "base/str.hpp"

namespace gristmill {

/// What went wrong, in the terms that decide the exit code.
enum class Kind {
  usage,     ///< options or configuration: exit code 2
  input,     ///< damaged or unsuitable input: exit code 1
  io,        ///< reading or writing failed: exit code 1
  device,    ///< no such device, or it failed: exit code 1
  internal,  ///< a broken promise of ours: exit code 1
};

class Error : public std::runtime_error {
 public:
  Error(Kind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

/// Throws an Error whose message is its arguments written behind each other.
template <class... Parts>
[[noreturn]] void fail(Kind kind, const Parts&... parts) {
  throw Error(kind, str(parts...));
}

/// Throws an io Error that ends with the text of the current errno.
[[noreturn]] void fail_errno(const std::string& what, const std::string& where);

/// Thrown by a trainer that stopped on a signal after saving a checkpoint: exit code 75. Without a text
/// nothing is printed: of several processes that stop together, one has said it.
class Stopped : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace gristmill
