#pragma once

// One-line messages on standard error. Data never goes here, messages never go to standard output.

#include <string_view>

#include "base/str.hpp"

namespace gristmill::log {

enum class Level { quiet, normal, verbose };

void set_level(Level level);
Level level();
/// The name that starts every line: the tool's.
void set_name(std::string_view name);

/// Writes "NAME: message" on a line of its own; an active progress line is cleared first.
void write(std::string_view message);

template <class... Parts>
void info(const Parts&... parts) {
  if (level() != Level::quiet) write(str(parts...));
}
template <class... Parts>
void debug(const Parts&... parts) {
  if (level() == Level::verbose) write(str(parts...));
}
/// Warnings are shown at every level.
template <class... Parts>
void warn(const Parts&... parts) {
  write(str("warning: ", parts...));
}

}  // namespace gristmill::log
