#include "runtime/rounding.hpp"

#include "base/rng.hpp"

namespace gristmill::runtime {

Rounding rounding_of(uint64_t seed, int64_t step, int64_t element) {
  const auto bits = philox4x32(seed, stream_of(RandomStream::rounding), static_cast<uint64_t>(step));
  return {bits[0], bits[1], static_cast<uint32_t>(element)};
}

}  // namespace gristmill::runtime
