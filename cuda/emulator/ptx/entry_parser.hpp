#pragma once

// One kernel: parameters, launch bounds, and the statements of its body with names resolved.

#include <string_view>

#include "emulator/ptx/cursor.hpp"
#include "emulator/ptx/syntax.hpp"

namespace gristmill::emulator {

/// A kernel behind ".entry". Error{input} names the line.
EntrySyntax parse_entry(Cursor& cursor);

}  // namespace gristmill::emulator
