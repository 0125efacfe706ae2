#pragma once

// What the kernel of sample() takes beside its views.

#include <cstdint>

namespace gristmill::runtime::cuda {

struct SampleArguments {
  double temperature;         ///< of log_prob; 1 where drawn is the argmax
  float inverse_temperature;  ///< finite
  float unit;                 ///< the integer mass of the likeliest id: a power of two, V of them fit 62 bits
  bool draws;                 ///< or the argmax
  int64_t top_k;              ///< 0 = all
  double top_p;
  double least;  ///< temperature · log(min_p): how far from the highest a logit may lie; -inf = any
};

}  // namespace gristmill::runtime::cuda
