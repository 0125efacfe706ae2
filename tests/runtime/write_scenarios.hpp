#pragma once

// Every way to write to memory through a device or its backend: what forms of a weight that are kept must
// see.

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "lab.hpp"

namespace gristmill::runtime::test {

constexpr int64_t kWrittenSize = 32;

/// A name, and what writes to a kWrittenSize × kWrittenSize weight of the real type.
using Write = std::pair<std::string, std::function<void(Lab&, View)>>;
std::vector<Write> all_writes();

}  // namespace gristmill::runtime::test
