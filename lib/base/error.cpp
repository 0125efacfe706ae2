#include "base/error.hpp"

#include <cerrno>
#include <cstring>

namespace gristmill {

void fail_errno(const std::string& what, const std::string& where) {
  const int number = errno;
  fail(Kind::io, what, " ", where, ": ", std::strerror(number));
}

}  // namespace gristmill
