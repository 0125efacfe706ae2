// safetensors files: any bytes are tensors or one error.
#include <cstddef>
#include <cstdint>

#include "base/error.hpp"
#include "memory_file.hpp"
#include "model/safetensors.hpp"

using namespace gristmill;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const fuzz::MemoryFile file(data, size);
  try {
    const model::SafetensorsReader reader(file.path());
    for (const auto& [name, tensor] : reader.tensors()) {
      try {
        reader.read_float(name);
      } catch (const Error&) {  // a type that is no float
      }
    }
  } catch (const Error&) {
  }
  return 0;
}
