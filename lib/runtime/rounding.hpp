#pragma once

// Stochastic rounding to bf16: of the two neighbours the upper one with the probability of the distance from
// the lower, so that steps much smaller than the distance between bf16 numbers add up to what they should
// (Gupta et al. 2015, section 3). The 16 random bits of an element are a function of (seed, step, its number)
// alone: every device and any number of ranks round alike.
//
// A step's key is drawn by Philox; each element mixes it with its number by the steps of an integer hash with
// the constants of "lowbias32" (C. Wellons, "Prospecting for hash functions"), three products where Philox
// takes twenty. Numbers count modulo 2^32. C++17 without other includes: kernels of all devices read it.

#include <cstdint>

namespace gristmill::runtime {

/// What a step's random bits are made from; `element` is the number of the first one of a run.
struct Rounding {
  uint32_t key, key_too, element;
};

constexpr uint32_t kRoundingFirst = 0x7FEB352D, kRoundingSecond = 0x846CA68B;

Rounding rounding_of(uint64_t seed, int64_t step, int64_t element);

}  // namespace gristmill::runtime
