#pragma once

#include <string>

#include "emulator/fault.hpp"
#include "emulator/launch.hpp"

namespace gristmill::emulator {

/// Adds a launch to what kernel_use() tells.
void note_use(const std::string& kernel, const Counters& counters);

/// Tells the launch's observer, if there is one.
void show_launch(Memory& memory, const Kernel& kernel, const Launch& launch, const LaunchOptions& options);

}  // namespace gristmill::emulator
