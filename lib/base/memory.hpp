#pragma once

// How much memory this process may still take: what the machine has to spare and what its control group
// allows (containers and batch systems), whichever is less.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill {

/// Bytes, or nothing where the system does not say.
std::optional<uint64_t> available_memory();

// The parts, for tests.
/// "MemAvailable" of the text of /proc/meminfo.
std::optional<uint64_t> parse_available(std::string_view meminfo);
/// The least of limit − use + reclaimable file cache over a control group (version 2) and those above it:
/// `root` is where the hierarchy is mounted, `group` a path within, as in /proc/self/cgroup. Nothing where no
/// limit is set.
std::optional<uint64_t> control_group_room(const std::string& root, const std::string& group);

}  // namespace gristmill
