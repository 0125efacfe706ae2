#pragma once

// Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as
// 1, 2, 3"). A number is a function of (seed, stream, counter) alone, so that results do not depend on the
// order of work, the number of threads or a restart.

#include <array>
#include <cstdint>

namespace gristmill {

/// The 128 random bits at one counter: key (seed), counter (stream, index).
std::array<uint32_t, 4> philox4x32(uint64_t seed, uint64_t stream, uint64_t index);

/// A sequence drawn from one stream; its whole state is the position.
class Rng {
 public:
  Rng(uint64_t seed, uint64_t stream, uint64_t position = 0)
      : seed_(seed), stream_(stream), position_(position) {}

  /// 64 uniform bits.
  uint64_t bits();
  /// Uniform in [0, 1), 53 bits.
  double uniform();
  /// Uniform in [0, bound), without bias; bound > 0.
  uint64_t below(uint64_t bound);
  /// Standard normal (Box–Muller, one value for two draws).
  double normal();

  uint64_t position() const { return position_; }

 private:
  uint64_t seed_, stream_, position_;
};

/// Stream numbers, one a purpose, so that no two purposes share random numbers.
enum class RandomStream : uint64_t {
  parameters = 1,
  shuffle = 2,
  sampling = 3,
  bootstrap = 4,
  minhash = 5,
  mixture = 6,
  rollout = 7,
  judge = 8,
  rounding = 9,
  test = 99,
};

/// A stream for item `index` of a purpose.
constexpr uint64_t stream_of(RandomStream purpose, uint64_t index = 0) {
  return (static_cast<uint64_t>(purpose) << 56) ^ index;
}

}  // namespace gristmill
