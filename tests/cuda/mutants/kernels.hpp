#pragma once

// The PTX of the shipped kernels, one by one, as it stands in the containers that are linked into the
// program.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace gristmill::runtime::test {

struct KernelText {
  std::string module, kernel;
  std::string ptx;           ///< a text of this kernel alone
  uint32_t lines_above = 0;  ///< what to add to its numbers of lines to get those of the module's text
};

/// The PTX of each module by its name.
std::map<std::string, std::string> shipped_modules();

/// Kernels have names that no other module's kernel has: two that have is an Error{internal}.
std::vector<KernelText> shipped_kernels();

}  // namespace gristmill::runtime::test
