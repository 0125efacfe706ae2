#pragma once

// Memory of devices that are the host itself.

#include <cstddef>

namespace gristmill::runtime {

/// Zeroed, aligned to 64 bytes (large blocks to huge pages); Error{device} naming `device` when there is
/// none.
void* allocate_host(size_t bytes, const char* device);
void release_host(void* memory) noexcept;

}  // namespace gristmill::runtime
