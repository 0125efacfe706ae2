#pragma once

// What kernels of the mixture of experts take beside their views.

#include <cstdint>

#include "cuda/arguments.hpp"

namespace gristmill::runtime::cuda {

/// A matrix of i32: a number for each of T tokens' K choices.
struct Choices {
  int32_t* data;
  int64_t rows, cols, stride;
};

struct RouteArguments {
  ConstRows logits;
  Rows probabilities, lse, weights;
  Choices experts;
  int32_t* keys;  ///< the experts again, without gaps
};

struct RouteGradientArguments {
  Rows dlogits;
  ConstRows dweights, probabilities, lse, weights, load;  ///< load: without data, no balance
  Choices experts;
  float balance, z;
};

}  // namespace gristmill::runtime::cuda
