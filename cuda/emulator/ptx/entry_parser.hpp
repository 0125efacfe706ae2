#pragma once

// One kernel: parameters, launch bounds, and the statements of its body with names resolved.

#include <cstdint>

#include "emulator/ptx/cursor.hpp"
#include "emulator/ptx/syntax.hpp"

namespace gristmill::emulator {

/// A kernel behind ".entry" with at most so many registers. Error{input} names the line.
EntrySyntax parse_entry(Cursor& cursor, uint64_t most_registers);

}  // namespace gristmill::emulator
