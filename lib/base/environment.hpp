#pragma once

// Environment variables: the one place below the applications that reads them.

#include <optional>
#include <string>

namespace gristmill {

/// The variable's value; nothing when it is not set or empty.
std::optional<std::string> environment_variable(const char* name);

}  // namespace gristmill
