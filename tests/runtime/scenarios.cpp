#include "scenarios.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "base/str.hpp"

namespace gristmill::runtime::test {

double tolerance_of(const std::string& method) {
  static const std::map<std::string, double> kTable = {
      {"fill", 0},
      {"copy", 0},
      {"axpy", 1e-6},
      {"gather_rows", 0},
      {"scatter_rows", 0},
      {"sum_rows", 2e-6},
      {"sum_of_squares", 1e-6},
      {"matmul", 4e-6},
      {"fused_matmul", 8e-6},  // SwiGLU's product of two of them
      {"int8_matmul", 2e-4},   // activations of 16 bits: a 65,278th of the largest
      {"int8_head", 2e-4},
      {"embedding", 1e-6},
      {"embedding_backward", 2e-6},
      {"rmsnorm", 2e-6},
      {"rmsnorm_backward", 4e-6},
      {"layernorm", 2e-6},
      {"layernorm_backward", 4e-6},
      {"rotary", 1e-6},
      {"attention", 4e-6},
      {"attention_backward", 1e-5},
      {"cached_attention", 4e-6},
      {"swiglu", 1e-6},
      {"swiglu_backward", 2e-6},
      {"gelu", 1e-6},
      {"gelu_backward", 2e-6},
      {"route", 1e-6},
      {"route_backward", 1e-6},
      {"grouped_matmul", 4e-6},
      {"grouped_matmul_gradient", 4e-6},
      {"combine_rows", 1e-6},
      {"combine_rows_backward", 4e-6},
      {"head", 6e-6},
      {"head_backward", 1e-5},
      {"adamw", 2e-6},
      {"sample", 2e-6},
  };
  return kTable.at(method);
}

double half_tolerance_of(const std::string& name) {
  // Rounding to bf16's 8 bits moves a value by at most 2^-8 of itself. Inputs are bf16 on both sides and sums
  // f32, so what counts is how often a value on its way to an output is rounded.
  static const std::map<std::string, int> kRoundings = {
      {"matmul", 1},
      {"fused_matmul", 3},  // the gate, up, their product
      {"int8_matmul", 1},
      {"rmsnorm", 1},
      {"rmsnorm_backward", 1},
      {"layernorm", 1},
      {"layernorm_backward", 1},
      {"rotary", 1},
      {"attention", 1},           // the output; roundings of the weights mostly cancel out in its sums
      {"attention_backward", 2},  // the forward's output, of which D is a sum; the gradient
      {"cached_attention", 1},
      {"swiglu", 1},
      {"swiglu_backward", 1},
      {"gelu", 1},
      {"gelu_backward", 1},
      {"grouped_matmul", 1},
      {"combine_rows", 1},
      {"combine_rows_backward", 1},
      {"head_backward", 2},  // the gradient of the logits, the gradient of hidden
  };
  const std::string method = name.substr(0, name.find(' '));
  const auto found = kRoundings.find(method);
  const int roundings = found == kRoundings.end() ? 0 : found->second;
  return tolerance_of(method) + roundings * 0x1p-8;
}

double difference(const Outputs& reference, const Outputs& values) {
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  if (reference.size() != values.size()) return kInfinite;
  double worst = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].size() != reference[i].size()) return kInfinite;
    double scale = 1, most = 0;
    for (size_t j = 0; j < values[i].size(); ++j) {
      if (!std::isfinite(values[i][j])) return kInfinite;
      scale = std::max(scale, std::abs(reference[i][j]));
      most = std::max(most, std::abs(values[i][j] - reference[i][j]));
    }
    worst = std::max(worst, most / scale);
  }
  return worst;
}

std::vector<Scenario> elementary_scenarios(int64_t factor) {
  std::vector<Scenario> all;
  const auto add = [&](const std::string& method, const std::string& what, std::function<Outputs(Lab&)> run) {
    all.push_back({str(method, " ", what), tolerance_of(method), std::move(run)});
  };
  for (const auto& [rows, cols] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {3, 5}, {70, 33}, {5, 1100}, {130, 160}}) {
    const int64_t r = rows * factor, c = cols;
    const std::string shape = str(r, " x ", c);
    add("fill", shape, [=](Lab& lab) {
      const View out = lab.real(r, c);
      lab.backend().fill(out, 1.5);
      return Outputs{lab.read(out)};
    });
    add("copy", shape, [=](Lab& lab) {
      const View out = lab.computed(r, c), in = lab.computed(r, c);
      lab.backend().copy(out, in);
      return Outputs{lab.read(out)};
    });
    add("axpy", shape, [=](Lab& lab) {
      const View out = lab.real(r, c), in = lab.real(r, c);
      lab.backend().axpy(out, -0.75, in);
      return Outputs{lab.read(out)};
    });
    add("gather_rows", shape, [=](Lab& lab) {
      const View in = lab.computed(r, c), rows_of = lab.random_ints(2 * r + 1, static_cast<int32_t>(r)),
                 out = lab.as(in, 2 * r + 1, c);
      lab.backend().gather_rows(out, in, rows_of);
      return Outputs{lab.read(out)};
    });
    add("scatter_rows", shape, [=](Lab& lab) {
      std::vector<int32_t> targets;
      for (int64_t i = 0; i < r; ++i) targets.push_back(static_cast<int32_t>(2 * (r - 1 - i)));
      const View in = lab.computed(r, c), out = lab.as(in, 2 * r + 1, c);
      lab.backend().scatter_rows(out, in, lab.ints(targets));
      return Outputs{lab.read(out)};
    });
    add("sum_rows", shape, [=](Lab& lab) {
      const View in = lab.computed(r, c), out = lab.real(1, c);
      lab.backend().sum_rows(out, in);
      return Outputs{lab.read(out)};
    });
    add("sum_of_squares", shape, [=](Lab& lab) {
      const View in = lab.computed(r, c), out = lab.doubles(1, 1);
      lab.backend().sum_of_squares(out, in);
      return Outputs{lab.read(out)};
    });
    add("sum_of_squares", str(shape, " by blocks"), [=](Lab& lab) {
      const int64_t elements = 2 * kSquaresBlock + r * c;
      const View in = lab.computed(1, elements),
                 out = lab.doubles(1, 2 + (r * c + kSquaresBlock - 1) / kSquaresBlock);
      lab.backend().sum_of_squares(out, in);
      return Outputs{lab.read(out)};
    });
    for (const bool accumulate : {false, true}) {
      add("embedding", str(shape, accumulate ? " accumulating" : ""), [=](Lab& lab) {
        const View table = lab.computed(11, c), ids = lab.random_ints(r, 11), out = lab.real(r, c);
        lab.backend().embedding(out, table, ids, accumulate);
        return Outputs{lab.read(out)};
      });
    }
    add("embedding_backward", shape, [=](Lab& lab) {
      const View table = lab.real(11, c), ids = lab.random_ints(r, 11), dout = lab.real(r, c);
      lab.backend().embedding_backward(table, dout, ids);
      return Outputs{lab.read(table)};
    });
    add("adamw", shape, [=](Lab& lab) {
      const View p = lab.real(r, c), m = lab.real(r, c, 0.1), g = lab.real(r, c);
      const View v = lab.values(r, c, std::vector<double>(static_cast<size_t>(r * c), 0.03125));
      lab.backend().adamw(p, m, v, g, {1e-2, 0.9, 0.95, 1e-8, 0.1, 3, 0.5});
      return Outputs{lab.read(p), lab.read(m), lab.read(v)};
    });
  }
  return all;
}

std::vector<Scenario> product_scenarios(int64_t factor) {
  std::vector<Scenario> all;
  const int64_t shapes[][3] = {{1, 1, 1},    {1, 40, 70},    {5, 7, 3},    {12, 32, 32},
                               {13, 33, 17}, {63, 48, 31},   {65, 31, 65}, {100, 97, 64},
                               {3, 130, 1},  {70, 45, 1100}, {9, 600, 21}};
  for (const auto& shape : shapes) {
    const int64_t m = shape[0] * factor, n = shape[1], k = shape[2];
    for (int variant = 0; variant < 9; ++variant) {
      const bool ta = variant == 2 || variant == 3 || variant == 8,
                 tb = variant == 1 || variant == 3 || variant >= 5;
      const bool accumulate = variant == 4 || variant == 5 || variant == 8,
                 extras = variant == 6 || variant == 7;
      const std::string name = str("matmul ", m, " x ", n, " x ", k, ta ? " T" : " N", tb ? "T" : "N",
                                   accumulate ? " accumulating" : "", extras ? " with bias and residual" : "",
                                   variant == 7 ? " in place" : "");
      all.push_back({name, tolerance_of("matmul"), [=](Lab& lab) {
                       Matmul args;
                       args.a = ta ? lab.computed(k, m, 0.5) : lab.computed(m, k, 0.5);
                       args.b = tb ? lab.computed(n, k, 0.5) : lab.computed(k, n, 0.5);
                       args.out = variant == 7 ? lab.real(m, n) : lab.computed(m, n);
                       args.transpose_a = ta;
                       args.transpose_b = tb;
                       args.accumulate = accumulate;
                       if (extras) {
                         args.bias = lab.computed(1, n);
                         args.residual = variant == 7 ? args.out : lab.real(m, n);
                       }
                       lab.backend().matmul(args);
                       return Outputs{lab.read(args.out)};
                     }});
    }
  }
  return all;
}

std::vector<Scenario> fused_scenarios(int64_t factor) {
  std::vector<Scenario> all;
  for (const auto& [rows, cols, depth] : std::vector<std::array<int64_t, 3>>{
           {1, 2, 3}, {13, 64, 17}, {65, 34, 31}, {70, 128, 1100}, {9, 640, 21}, {200, 192, 40}}) {
    const int64_t m = rows * factor, n = cols, k = depth;
    for (const auto activation : {Activation::gelu, Activation::swiglu}) {
      const bool gelu = activation == Activation::gelu;
      const std::string name =
          str("fused_matmul ", m, " x ", n, " x ", k, gelu ? " with GELU" : " with SwiGLU");
      all.push_back({name, tolerance_of("fused_matmul"), [=](Lab& lab) {
                       Matmul args;
                       args.a = lab.computed(m, k, 0.5);
                       args.b = lab.computed(n, k, 0.5);
                       args.transpose_b = true;
                       args.out = lab.computed(m, n);
                       args.bias = lab.computed(1, n);
                       args.activated = lab.computed(m, gelu ? n : n / 2);
                       args.activation = activation;
                       lab.backend().matmul(args);
                       return Outputs{lab.read(args.out), lab.read(args.activated)};
                     }});
    }
  }
  return all;
}

std::vector<Scenario> norm_scenarios(int64_t factor) {
  std::vector<Scenario> all;
  for (const auto& [rows, cols] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {1, 16}, {3, 7}, {65, 40}, {200, 96}}) {
    const int64_t r = rows * factor, c = cols;
    const std::string shape = str(r, " x ", c);
    const auto add = [&](const std::string& method, const std::string& what,
                         std::function<Outputs(Lab&)> run) {
      all.push_back({str(method, " ", what), tolerance_of(method), std::move(run)});
    };
    add("rmsnorm", shape, [=](Lab& lab) {
      const View in = lab.computed(r, c), weight = lab.computed(1, c), out = lab.computed(r, c),
                 rstd = lab.real(r, 1);
      lab.backend().rmsnorm(out, rstd, in, weight, 1e-5);
      return Outputs{lab.read(out), lab.read(rstd)};
    });
    add("layernorm", shape, [=](Lab& lab) {
      const View in = lab.computed(r, c), weight = lab.computed(1, c), bias = lab.computed(1, c),
                 out = lab.computed(r, c), moments = lab.real(r, 2);
      lab.backend().layernorm(out, moments, in, weight, bias, 1e-1);
      return Outputs{lab.read(out), lab.read(moments)};
    });
    for (const bool accumulate : {false, true}) {
      const std::string what = str(shape, accumulate ? " accumulating" : "");
      add("rmsnorm_backward", what, [=](Lab& lab) {
        const View in = lab.computed(r, c), weight = lab.computed(1, c), out = lab.computed(r, c),
                   rstd = lab.real(r, 1);
        const View dout = lab.computed(r, c), din = accumulate ? lab.computed(r, c) : dout,
                   dweight = lab.real(1, c);
        lab.backend().rmsnorm(out, rstd, in, weight, 1e-1);
        lab.backend().rmsnorm_backward(din, accumulate, dweight, dout, in, weight, rstd);
        return Outputs{lab.read(din), lab.read(dweight)};
      });
      add("layernorm_backward", what, [=](Lab& lab) {
        const View in = lab.computed(r, c), weight = lab.computed(1, c), bias = lab.computed(1, c),
                   out = lab.computed(r, c), moments = lab.real(r, 2);
        const View dout = lab.computed(r, c), din = accumulate ? lab.computed(r, c) : dout,
                   dweight = lab.real(1, c), dbias = lab.real(1, c);
        lab.backend().layernorm(out, moments, in, weight, bias, 1e-1);
        lab.backend().layernorm_backward(din, accumulate, dweight, dbias, dout, in, weight, moments);
        return Outputs{lab.read(din), lab.read(dweight), lab.read(dbias)};
      });
    }
    add("swiglu", shape, [=](Lab& lab) {
      const View gate_up = lab.computed(r, 2 * c, 3), out = lab.computed(r, c);
      lab.backend().swiglu(out, gate_up);
      return Outputs{lab.read(out)};
    });
    add("swiglu_backward", shape, [=](Lab& lab) {
      const View gate_up = lab.computed(r, 2 * c, 3), dout = lab.computed(r, c),
                 dgate_up = lab.computed(r, 2 * c);
      lab.backend().swiglu_backward(dgate_up, dout, gate_up);
      return Outputs{lab.read(dgate_up)};
    });
    add("gelu", shape, [=](Lab& lab) {
      const View in = lab.computed(r, c, 3), out = lab.computed(r, c);
      lab.backend().gelu(out, in);
      return Outputs{lab.read(out)};
    });
    add("gelu_backward", shape, [=](Lab& lab) {
      const View in = lab.computed(r, c, 3), dout = lab.computed(r, c), din = lab.computed(r, c);
      lab.backend().gelu_backward(din, dout, in);
      return Outputs{lab.read(din)};
    });
  }
  const int64_t rotary_shapes[][3] = {{1, 1, 2}, {9, 3, 6}, {130, 2, 16}, {40, 4, 40}};
  for (const auto& shape : rotary_shapes) {
    const int64_t t = shape[0] * factor, heads = shape[1], dim = shape[2];
    for (const bool inverse : {false, true}) {
      all.push_back({str("rotary ", t, " x ", heads, " x ", dim, inverse ? " inverse" : ""),
                     tolerance_of("rotary"), [=](Lab& lab) {
                       std::vector<int32_t> positions;
                       for (int64_t i = 0; i < t; ++i)
                         positions.push_back(static_cast<int32_t>(i == 5 ? 3000000 : i * 7 % 500));
                       std::vector<double> frequencies;
                       for (int64_t i = 0; i < dim / 2; ++i)
                         frequencies.push_back(static_cast<double>(static_cast<float>(
                             std::pow(1e4, -2.0 * static_cast<double>(i) / static_cast<double>(dim)))));
                       const View x = lab.computed(t, heads * dim), ids = lab.ints(positions),
                                  inverse_frequency = lab.values(1, dim / 2, frequencies);
                       lab.backend().rotary(x, ids, inverse_frequency, heads, dim, inverse);
                       return Outputs{lab.read(x)};
                     }});
    }
  }
  return all;
}

std::vector<Scenario> head_scenarios(int64_t factor) {
  std::vector<Scenario> all;
  const int64_t shapes[][3] = {{1, 1, 1},    {1, 40, 300},   {7, 5, 33}, {70, 24, 70},
                               {130, 9, 17}, {50, 8, 20000}, {400, 3, 5}};
  for (const auto& shape : shapes) {
    const int64_t r = shape[0] * factor, c = shape[1], v = shape[2];
    const std::string name = str(r, " rows of ", c, ", vocabulary ", v);
    all.push_back(
        {str("head ", name), tolerance_of("head"), [=](Lab& lab) {
           const View hidden = lab.computed(r, c), weight = lab.computed(v, c),
                      targets = lab.random_ints(r, static_cast<int32_t>(v));
           const HeadValues values{lab.real(r, 1), lab.real(r, 1), lab.real(r, 1)};
           lab.backend().head(values, hidden, weight, targets, 0.5);
           return Outputs{lab.read(values.log_prob), lab.read(values.lse), lab.read(values.entropy)};
         }});
    for (const bool whole : {true, false}) {
      all.push_back({str("head_backward ", name, whole ? "" : " log_prob only, overwriting"),
                     tolerance_of("head_backward"), [=](Lab& lab) {
                       const View hidden = lab.computed(r, c), weight = lab.computed(v, c),
                                  targets = lab.random_ints(r, static_cast<int32_t>(v));
                       const View dhidden = lab.computed(r, c), dweight = lab.real(v, c);
                       HeadValues values;
                       HeadGradients gradients;
                       values.log_prob = lab.real(r, 1);
                       gradients.log_prob = lab.real(r, 1);
                       if (whole) {
                         values.lse = lab.real(r, 1);
                         values.entropy = lab.real(r, 1);
                         gradients.lse = lab.real(r, 1);
                         gradients.entropy = lab.real(r, 1);
                       }
                       lab.backend().head_backward(dhidden, whole, dweight, values, hidden, weight, targets,
                                                   gradients, 0.5);
                       Outputs out{lab.read(dhidden), lab.read(dweight), lab.read(values.log_prob)};
                       if (whole) {
                         out.push_back(lab.read(values.lse));
                         out.push_back(lab.read(values.entropy));
                       }
                       return out;
                     }});
    }
  }
  return all;
}

std::vector<Scenario> all_scenarios(int64_t factor) {
  std::vector<Scenario> all;
  for (auto part : {elementary_scenarios(factor), product_scenarios(factor), fused_scenarios(factor),
                    int8_scenarios(factor), norm_scenarios(factor), attention_scenarios(factor),
                    expert_scenarios(factor), head_scenarios(factor)})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace gristmill::runtime::test
