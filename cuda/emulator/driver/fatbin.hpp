#pragma once

// The container that nvcc -fatbin writes, as far as we need it: the PTX text inside.
//
// Little-endian. A header: u32 magic 0xBA55ED50, u16 version, u16 size of the header, u64 bytes behind it.
// Then entries: u16 kind (1 = PTX, 2 = machine code), u16, u32 size of the entry's header, u64 bytes of its
// content, u32 compressed size (0: not compressed), … A text ends at its first zero byte; behind it is
// padding.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace gristmill::emulator {

/// How many bytes the container at `image` has by its header, of which 16 bytes must be readable.
/// Error{input} if it is none, or one of more than 1 GiB.
size_t fatbin_size(const void* image);

/// The PTX text in a container. Error{input} if it is damaged, has none, or has a compressed one.
std::string_view fatbin_ptx(std::span<const std::byte> fatbin);

}  // namespace gristmill::emulator
