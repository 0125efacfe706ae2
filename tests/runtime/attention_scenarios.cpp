// Attention of packed documents, its backward, and attention over a cache.

#include <cstdint>
#include <string>
#include <vector>

#include "base/str.hpp"
#include "scenarios.hpp"

namespace gristmill::runtime::test {

std::vector<Scenario> attention_scenarios(int64_t factor) {
  std::vector<Scenario> all;
  struct Case {
    AttentionShape shape;
    std::vector<int32_t> starts;
  };
  const std::vector<Case> cases = {{{1, 1, 1, 1.0}, {0, 1}},
                                   {{2, 1, 3, 0.6}, {0, 1, 2, 7}},
                                   {{4, 2, 16, 0.25}, {0, 5, 6, 6, 75, 80}},
                                   {{6, 2, 20, 0.22}, {0, 130, 131, 200}},
                                   {{2, 2, 32, 0.177}, {0, 64, 192}},
                                   {{3, 3, 33, 0.17}, {0, 33, 100}},
                                   {{2, 1, 40, 0.158}, {0, 7, 530}}};  // more queries than one task takes
  for (const Case& c : cases) {
    const AttentionShape shape = c.shape;
    const int64_t rows = c.starts.back() * factor, width = shape.heads * shape.head_dim,
                  kv = shape.kv_heads * shape.head_dim;
    const std::string name =
        str(rows, " rows, ", shape.heads, "/", shape.kv_heads, " heads of ", shape.head_dim);
    auto starts = c.starts;
    for (int32_t& start : starts) start *= static_cast<int32_t>(factor);
    all.push_back({str("attention ", name), tolerance_of("attention"), [=](Lab& lab) {
                     const View q = lab.computed(rows, width), k = lab.computed(rows, kv),
                                v = lab.computed(rows, kv), out = lab.computed(rows, width),
                                lse = lab.real(rows, shape.heads);
                     lab.backend().attention(out, lse, q, k, v, lab.ints(starts), shape);
                     return Outputs{lab.read(out), lab.read(lse)};
                   }});
    all.push_back({str("attention_backward ", name), tolerance_of("attention_backward"), [=](Lab& lab) {
                     const View q = lab.computed(rows, width), k = lab.computed(rows, kv),
                                v = lab.computed(rows, kv), out = lab.computed(rows, width),
                                lse = lab.real(rows, shape.heads);
                     const View dout = lab.computed(rows, width), dq = lab.computed(rows, width),
                                dk = lab.computed(rows, kv), dv = lab.computed(rows, kv),
                                documents = lab.ints(starts);
                     lab.backend().attention(out, lse, q, k, v, documents, shape);
                     lab.backend().attention_backward(dq, dk, dv, dout, q, k, v, out, lse, documents, shape);
                     return Outputs{lab.read(dq), lab.read(dk), lab.read(dv)};
                   }});
    all.push_back({str("cached_attention ", name), tolerance_of("cached_attention"), [=](Lab& lab) {
                     const int32_t capacity = 150;
                     std::vector<int32_t> sequence, length;
                     for (int32_t i = 0; i < 40; ++i) {  // a prompt in sequence 2, single rows elsewhere
                       sequence.push_back(i < 30 ? 2 : i % 2);
                       length.push_back(i < 30 ? 20 + i : i < 34 ? 1 : 3 * i);
                     }
                     sequence.push_back(2);  // and one that sees the cache to its end
                     length.push_back(capacity);
                     const View q = lab.computed(41, width), k = lab.computed(3 * capacity, kv),
                                v = lab.computed(3 * capacity, kv), out = lab.computed(41, width);
                     lab.backend().cached_attention(out, q, k, v, lab.ints(sequence), lab.ints(length),
                                                    capacity, shape);
                     return Outputs{lab.read(out)};
                   }});
  }
  return all;
}

}  // namespace gristmill::runtime::test
