// Products, embeddings and heads whose weight is in int8: every device sees the same bytes, so that what is
// compared is the arithmetic.

#include "base/str.hpp"
#include "scenarios.hpp"

namespace gristmill::runtime::test {

std::vector<Scenario> int8_scenarios(int64_t factor) {
  std::vector<Scenario> all;
  const int64_t shapes[][3] = {{1, 1, 1},   {1, 40, 70},  {5, 7, 3},   {6, 32, 32},  {7, 33, 17},
                               {13, 64, 5}, {97, 70, 36}, {3, 1, 130}, {9, 100, 600}};
  for (const auto& shape : shapes) {
    const int64_t m = shape[0] * factor, n = shape[1], k = shape[2];
    for (int variant = 0; variant < 4; ++variant) {
      const bool accumulate = variant == 1, extras = variant >= 2;
      const std::string name = str("int8_matmul ", m, " x ", n, " x ", k, accumulate ? " accumulating" : "",
                                   extras ? " with bias and residual" : "", variant == 3 ? " in place" : "");
      all.push_back({name, tolerance_of("int8_matmul"), [=](Lab& lab) {
                       Matmul args;
                       args.a = lab.computed(m, k, 0.5);
                       args.b = lab.int8(n, k, 0.5, variant == 2);
                       args.transpose_b = args.keep_b = true;
                       args.out = variant == 3 ? lab.real(m, n) : lab.computed(m, n);
                       args.accumulate = accumulate;
                       if (extras) {
                         args.bias = lab.real(1, n);
                         args.residual = variant == 3 ? args.out : lab.real(m, n);
                       }
                       lab.backend().matmul(args);
                       return Outputs{lab.read(args.out)};
                     }});
    }
    for (const bool accumulate : {false, true}) {
      all.push_back({str("embedding of int8 ", m, " x ", k, accumulate ? " accumulating" : ""),
                     tolerance_of("embedding"), [=](Lab& lab) {
                       const View table = lab.int8(n, k, 1, false), out = lab.real(m, k);
                       lab.backend().embedding(out, table, lab.random_ints(m, static_cast<int32_t>(n)),
                                               accumulate);
                       return Outputs{lab.read(out)};
                     }});
    }
    all.push_back(
        {str("int8_head ", m, " x ", n, " x ", k), tolerance_of("int8_head"), [=](Lab& lab) {
           const View hidden = lab.computed(m, k), weight = lab.int8(n, k, 0.3, false),
                      targets = lab.random_ints(m, static_cast<int32_t>(n));
           HeadValues values;
           values.log_prob = lab.real(m, 1);
           values.lse = lab.real(m, 1);
           values.entropy = lab.real(m, 1);
           lab.backend().head(values, hidden, weight, targets, 0.8);
           return Outputs{lab.read(values.log_prob), lab.read(values.lse), lab.read(values.entropy)};
         }});
  }
  return all;
}

}  // namespace gristmill::runtime::test
