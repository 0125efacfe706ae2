#pragma once

// The model that tests of alignment train.

#include "model/config.hpp"

namespace gristmill::test {

inline model::Config tiny_config(model::Head head, int64_t layers) {
  model::Config config;
  config.head = head;
  config.vocab_size = 12;
  config.dim = 16;
  config.layers = layers;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 8;
  config.hidden_dim = 24;
  config.context = 24;
  config.tied = head == model::Head::language;
  return config;
}

}  // namespace gristmill::test
