#pragma once

// What an access does to memory.

#include <cstdint>

namespace gristmill::emulator {

enum class Use : uint8_t {
  read,
  write,
  atomic,
  copy,  ///< the target of an asynchronous copy, when it starts: a write whose value is not there yet
};

}  // namespace gristmill::emulator
