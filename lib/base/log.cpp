#include "base/log.hpp"

#include <unistd.h>

#include <mutex>
#include <string>

#include "base/progress.hpp"

namespace gristmill::log {

namespace {
Level g_level = Level::normal;
std::string g_name = "gristmill";
}  // namespace

void set_level(Level level) { g_level = level; }
Level level() { return g_level; }
void set_name(std::string_view name) { g_name = name; }

void write(std::string_view message) {
  progress::clear();
  const std::string line = str(g_name, ": ", message, '\n');
  // A message that cannot be written has nowhere to be reported.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace gristmill::log
