#include "base/memory.hpp"

#include <algorithm>
#include <cstddef>
#include <filesystem>

#include "base/file.hpp"
#include "base/str.hpp"

namespace gristmill {

namespace {

namespace fs = std::filesystem;

/// The number behind `key` on the line that starts with it.
std::optional<uint64_t> number_after(std::string_view text, std::string_view key) {
  for (std::string_view line : split(text, '\n')) {
    if (!line.starts_with(key)) continue;
    line = strip(line.substr(key.size()));
    return parse_uint(line.substr(0, line.find(' ')));
  }
  return std::nullopt;
}

std::optional<uint64_t> room_in(const fs::path& folder) {
  const auto limit = parse_uint(strip(kernel_file(folder / "memory.max")));  // "max" is no limit
  const auto used = parse_uint(strip(kernel_file(folder / "memory.current")));
  if (!limit || !used) return std::nullopt;
  const auto cache = number_after(kernel_file(folder / "memory.stat"), "inactive_file ").value_or(0);
  const uint64_t held = *used - std::min(*used, cache);
  return *limit - std::min(*limit, held);
}

std::optional<uint64_t> lesser(std::optional<uint64_t> a, std::optional<uint64_t> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

}  // namespace

std::optional<uint64_t> parse_available(std::string_view meminfo) {
  const auto kibibytes = number_after(meminfo, "MemAvailable:");
  if (!kibibytes) return std::nullopt;
  return *kibibytes * 1024;
}

std::optional<uint64_t> control_group_room(const std::string& root, const std::string& group) {
  std::optional<uint64_t> least;
  fs::path path = fs::path(group).relative_path();
  while (true) {
    least = lesser(least, room_in(fs::path(root) / path));
    if (path.empty()) return least;
    path = path.parent_path();
  }
}

std::optional<uint64_t> available_memory() {
  const std::string groups = kernel_file("/proc/self/cgroup");
  std::string group;
  for (const auto line : split(groups, '\n')) {
    if (line.starts_with("0::")) group = line.substr(3);
  }
  return lesser(parse_available(kernel_file("/proc/meminfo")), control_group_room("/sys/fs/cgroup", group));
}

}  // namespace gristmill
