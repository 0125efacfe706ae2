#pragma once

// The compiled device code, one container (nvcc -fatbin) for each NAME.cu, linked into the program.

#include <span>

namespace gristmill::runtime::cuda {

struct EmbeddedModule {
  const char* name;
  const void* fatbin;
};

std::span<const EmbeddedModule> embedded_modules();

}  // namespace gristmill::runtime::cuda
