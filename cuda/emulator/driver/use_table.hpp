#pragma once

#include <string>

#include "emulator/fault.hpp"

namespace gristmill::emulator {

/// Adds a launch to what kernel_use() tells.
void note_use(const std::string& kernel, const Counters& counters);

}  // namespace gristmill::emulator
