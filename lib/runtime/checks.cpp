#include "runtime/checks.hpp"

#include "base/error.hpp"
#include "runtime/int8.hpp"

namespace gristmill::runtime::checks {

namespace {

constexpr const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::bf16:
      return "bf16";
    case DType::i32:
      return "i32";
    case DType::i8:
      return "i8";
  }
  return "?";
}

void expect(const char* method, const char* argument, const ConstView& view, DType dtype, int64_t rows,
            int64_t cols) {
  if (!view && rows * cols > 0) fail(Kind::internal, method, ": ", argument, " is absent");
  if (view.rows != rows || view.cols != cols || view.stride < view.cols) {
    fail(Kind::internal, method, ": ", argument, " is ", view.rows, " x ", view.cols, " with stride ",
         view.stride, ", expected ", rows, " x ", cols);
  }
  if (view.dtype != dtype) {
    fail(Kind::internal, method, ": ", argument, " is ", name_of(view.dtype), ", expected ", name_of(dtype));
  }
}

/// A view that may have the compute type.
void expect_computed(const char* method, const char* argument, const ConstView& view, const Types& types,
                     int64_t rows, int64_t cols) {
  expect(method, argument, view, view.dtype == types.compute ? types.compute : types.real, rows, cols);
}

void expect_if(const char* method, const char* argument, const ConstView& view, DType dtype, int64_t rows,
               int64_t cols) {
  if (view) expect(method, argument, view, dtype, rows, cols);
}

/// A weight in int8, or else one that may have the compute type.
void expect_weight(const char* method, const char* argument, const ConstView& view, const Types& types,
                   int64_t rows, int64_t cols) {
  if (view.dtype != DType::i8) return expect_computed(method, argument, view, types, rows, cols);
  expect(method, argument, view, DType::i8, rows, cols);
  if (cols > kInt8MostCols) {
    fail(Kind::internal, method, ": ", argument, " has rows of ", cols, " in int8, at most ", kInt8MostCols,
         " are possible");
  }
  if (view.stride != int8_strip_bytes(cols)) {
    fail(Kind::internal, method, ": ", argument, " has strips of ", view.stride, " bytes, expected ",
         int8_strip_bytes(cols));
  }
}

void expect_heads(const char* method, const AttentionShape& shape) {
  if (shape.heads < 1 || shape.kv_heads < 1 || shape.head_dim < 1 || shape.heads % shape.kv_heads != 0) {
    fail(Kind::internal, method, ": ", shape.heads, " heads of ", shape.head_dim, " over ", shape.kv_heads,
         " key heads, expected a multiple");
  }
}

}  // namespace

void fill(ConstView out, DType real) { expect("fill", "out", out, real, out.rows, out.cols); }

void same_shape(const char* method, ConstView out, ConstView in, DType real) {
  expect(method, "in", in, real, in.rows, in.cols);
  expect(method, "out", out, real, in.rows, in.cols);
}

void same_shape_computed(const char* method, ConstView out, ConstView in, Types types) {
  expect_computed(method, "in", in, types, in.rows, in.cols);
  expect_computed(method, "out", out, types, in.rows, in.cols);
}

void gather_rows(ConstView out, ConstView in, ConstView rows, Types types) {
  expect("gather_rows", "rows", rows, DType::i32, rows.rows, 1);
  expect_computed("gather_rows", "in", in, types, in.rows, in.cols);
  expect("gather_rows", "out", out, in.dtype, rows.rows, in.cols);
}

void scatter_rows(ConstView out, ConstView in, ConstView rows, Types types) {
  expect("scatter_rows", "rows", rows, DType::i32, rows.rows, 1);
  expect_computed("scatter_rows", "in", in, types, rows.rows, in.cols);
  expect("scatter_rows", "out", out, in.dtype, out.rows, in.cols);
}

void sum_rows(ConstView out, ConstView in, Types types) {
  expect_computed("sum_rows", "in", in, types, in.rows, in.cols);
  expect("sum_rows", "out", out, types.real, 1, in.cols);
}

void sum_of_squares(ConstView out, ConstView in, Types types) {
  expect_computed("sum_of_squares", "in", in, types, in.rows, in.cols);
  const int64_t blocks = (in.cols + kSquaresBlock - 1) / kSquaresBlock;
  expect("sum_of_squares", "out", out, DType::f64, 1, in.rows == 1 && out.cols != 1 ? blocks : 1);
}

void matmul(const Matmul& args, Types types) {
  const int64_t m = args.transpose_a ? args.a.cols : args.a.rows;
  const int64_t k = args.transpose_a ? args.a.rows : args.a.cols;
  const int64_t n = args.transpose_b ? args.b.rows : args.b.cols;
  expect_computed("matmul", "a", args.a, types, args.a.rows, args.a.cols);
  expect_weight("matmul", "b", args.b, types, args.transpose_b ? n : k, args.transpose_b ? k : n);
  if (args.b.dtype == DType::i8 && (!args.transpose_b || args.transpose_a)) {
    fail(Kind::internal, "matmul: b in int8 goes with transpose_b, and without transpose_a");
  }
  expect_computed("matmul", "out", args.out, types, m, n);
  if (args.bias) expect_computed("matmul", "bias", args.bias, types, 1, n);
  expect_if("matmul", "residual", args.residual, types.real, m, n);
  if (args.accumulate && (args.bias || args.residual)) {
    fail(Kind::internal, "matmul: accumulate takes neither bias nor residual");
  }
  if (args.activation == Activation::none) return;
  if (args.accumulate) fail(Kind::internal, "matmul: accumulate takes no activation");
  if (args.activation == Activation::swiglu) return swiglu(args.activated, args.out, types);
  expect_computed("matmul", "activated", args.activated, types, m, n);
}

void quantize(ConstView out, ConstView weight, bool transposed, Types types) {
  if (out.dtype != DType::i8) fail(Kind::internal, "quantize: out is ", name_of(out.dtype), ", expected i8");
  expect_weight("quantize", "out", out, types, out.rows, out.cols);
  expect("quantize", "weight", weight, types.real, transposed ? out.cols : out.rows,
         transposed ? out.rows : out.cols);
}

void embedding(ConstView rows, ConstView table, ConstView ids, Types types) {
  expect("embedding", "ids", ids, DType::i32, ids.rows, 1);
  expect_weight("embedding", "table", table, types, table.rows, table.cols);
  expect("embedding", "rows", rows, types.real, ids.rows, table.cols);
}

void embedding_gradient(ConstView dtable, Types types) {
  expect("embedding_backward", "dtable", dtable, types.real, dtable.rows, dtable.cols);
}

void rmsnorm(ConstView out, ConstView rstd, ConstView in, ConstView weight, Types types) {
  expect_computed("rmsnorm", "in", in, types, in.rows, in.cols);
  expect_computed("rmsnorm", "out", out, types, in.rows, in.cols);
  expect_computed("rmsnorm", "weight", weight, types, 1, in.cols);
  expect("rmsnorm", "rstd", rstd, types.real, in.rows, 1);
}

void layernorm(ConstView out, ConstView moments, ConstView in, ConstView weight, ConstView bias,
               Types types) {
  expect_computed("layernorm", "in", in, types, in.rows, in.cols);
  expect_computed("layernorm", "out", out, types, in.rows, in.cols);
  expect_computed("layernorm", "weight", weight, types, 1, in.cols);
  expect_computed("layernorm", "bias", bias, types, 1, in.cols);
  expect("layernorm", "moments", moments, types.real, in.rows, 2);
}

void norm_gradients(const char* method, ConstView dweight, ConstView dbias, int64_t cols, Types types) {
  expect(method, "dweight", dweight, types.real, 1, cols);
  expect_if(method, "dbias", dbias, types.real, 1, cols);
}

void rotary(ConstView x, ConstView positions, ConstView inverse_frequency, int64_t heads, int64_t head_dim,
            Types types) {
  if (head_dim < 2 || head_dim % 2 != 0)
    fail(Kind::internal, "rotary: head_dim is ", head_dim, ", expected an even number");
  expect_computed("rotary", "x", x, types, x.rows, heads * head_dim);
  expect("rotary", "positions", positions, DType::i32, x.rows, 1);
  expect("rotary", "inverse_frequency", inverse_frequency, types.real, 1, head_dim / 2);
}

void attention(ConstView out, ConstView lse, ConstView q, ConstView k, ConstView v, ConstView document_starts,
               const AttentionShape& shape, Types types) {
  const char* method = "attention";
  expect_heads(method, shape);
  expect_computed(method, "q", q, types, q.rows, shape.heads * shape.head_dim);
  expect_computed(method, "k", k, types, q.rows, shape.kv_heads * shape.head_dim);
  expect_computed(method, "v", v, types, q.rows, shape.kv_heads * shape.head_dim);
  expect_computed(method, "out", out, types, q.rows, shape.heads * shape.head_dim);
  expect(method, "lse", lse, types.real, q.rows, shape.heads);
  expect(method, "document_starts", document_starts, DType::i32, document_starts.rows, 1);
  if (document_starts.rows < 1) fail(Kind::internal, "attention: document_starts is empty");
}

void attention_gradients(ConstView dq, ConstView dk, ConstView dv, ConstView dout, ConstView q, ConstView k,
                         Types types) {
  expect_computed("attention_backward", "dq", dq, types, q.rows, q.cols);
  expect_computed("attention_backward", "dk", dk, types, k.rows, k.cols);
  expect_computed("attention_backward", "dv", dv, types, k.rows, k.cols);
  expect_computed("attention_backward", "dout", dout, types, q.rows, q.cols);
}

void cached_attention(ConstView out, ConstView q, ConstView cache_k, ConstView cache_v, ConstView sequence,
                      ConstView length, int64_t capacity, const AttentionShape& shape, Types types) {
  const char* method = "cached_attention";
  expect_heads(method, shape);
  expect_computed(method, "q", q, types, q.rows, shape.heads * shape.head_dim);
  expect_computed(method, "out", out, types, q.rows, shape.heads * shape.head_dim);
  expect_computed(method, "cache_k", cache_k, types, cache_k.rows, shape.kv_heads * shape.head_dim);
  expect_computed(method, "cache_v", cache_v, types, cache_k.rows, shape.kv_heads * shape.head_dim);
  expect(method, "sequence", sequence, DType::i32, q.rows, 1);
  expect(method, "length", length, DType::i32, q.rows, 1);
  if (capacity < 1 || cache_k.rows % capacity != 0) {
    fail(Kind::internal, "cached_attention: capacity is ", capacity, " for a cache of ", cache_k.rows,
         " rows");
  }
}

void swiglu(ConstView out, ConstView gate_up, Types types) {
  expect_computed("swiglu", "out", out, types, out.rows, out.cols);
  expect_computed("swiglu", "gate_up", gate_up, types, out.rows, 2 * out.cols);
}

void route(const Routing& routing, ConstView logits, Types types) {
  const char* method = "route";
  const int64_t tokens = logits.rows, experts = logits.cols, chosen = routing.experts.cols;
  if (chosen < 1 || chosen > experts)
    fail(Kind::internal, "route: ", chosen, " of ", experts, " experts, expected 1 to all of them");
  expect(method, "logits", logits, types.real, tokens, experts);
  expect(method, "probabilities", routing.probabilities, types.real, tokens, experts);
  expect(method, "lse", routing.lse, types.real, tokens, 1);
  expect(method, "experts", routing.experts, DType::i32, tokens, chosen);
  expect(method, "weights", routing.weights, types.real, tokens, chosen);
  expect(method, "offsets", routing.offsets, DType::i32, experts + 1, 1);
  expect(method, "tokens", routing.tokens, DType::i32, tokens * chosen, 1);
  expect(method, "places", routing.places, DType::i32, tokens, chosen);
  expect_if(method, "load", routing.load, types.real, 1, experts);
  expect_if(method, "mass", routing.mass, types.real, 1, experts);
}

void route_gradients(ConstView dlogits, ConstView dweights, const Routing& routing,
                     const RouterGradients& gradients, Types types) {
  const char* method = "route_backward";
  const int64_t tokens = dlogits.rows, experts = dlogits.cols, chosen = dweights.cols;
  expect(method, "dlogits", dlogits, types.real, tokens, experts);
  expect(method, "dweights", dweights, types.real, tokens, chosen);
  expect(method, "probabilities", routing.probabilities, types.real, tokens, experts);
  expect(method, "lse", routing.lse, types.real, tokens, 1);
  expect(method, "experts", routing.experts, DType::i32, tokens, chosen);
  expect(method, "weights", routing.weights, types.real, tokens, chosen);
  expect_if(method, "load", gradients.load, types.real, 1, experts);
}

void grouped_matmul(const GroupedMatmul& args, Types types) {
  const char* method = "grouped_matmul";
  const int64_t rows = args.a.rows, depth = args.a.cols, cols = args.out.cols;
  expect_computed(method, "a", args.a, types, rows, depth);
  expect_computed(method, "b", args.b, types, args.transpose_b ? cols : depth,
                  args.transpose_b ? depth : cols);
  expect_computed(method, "out", args.out, types, rows, cols);
  expect(method, "offsets", args.offsets, DType::i32, args.offsets.rows, 1);
  if (args.offsets.rows < 2) fail(Kind::internal, "grouped_matmul: offsets are of no expert");
}

void grouped_matmul_gradient(ConstView dweight, int64_t expert_stride, ConstView dout, ConstView a,
                             ConstView offsets, Types types) {
  const char* method = "grouped_matmul_gradient";
  expect_computed(method, "dout", dout, types, a.rows, dout.cols);
  expect_computed(method, "a", a, types, a.rows, a.cols);
  expect(method, "dweight", dweight, types.real, dout.cols, a.cols);
  expect(method, "offsets", offsets, DType::i32, offsets.rows, 1);
  if (offsets.rows < 2) fail(Kind::internal, method, ": offsets are of no expert");
  if (offsets.rows > 2 && expert_stride < dweight.rows * dweight.stride - (dweight.stride - dweight.cols))
    fail(Kind::internal, method, ": the experts' weights overlap");
}

void combine_rows(ConstView out, ConstView in, ConstView weights, ConstView places, ConstView residual,
                  Types types) {
  const char* method = "combine_rows";
  expect_computed(method, "out", out, types, out.rows, out.cols);
  expect_computed(method, "in", in, types, in.rows, out.cols);
  expect(method, "places", places, DType::i32, out.rows, places.cols);
  expect_if(method, "weights", weights, types.real, out.rows, places.cols);
  if (residual) expect_computed(method, "residual", residual, types, out.rows, out.cols);
}

void combine_rows_gradients(ConstView din, ConstView dweights, ConstView dout, ConstView in,
                            ConstView weights, ConstView places, Types types) {
  const char* method = "combine_rows_backward";
  expect_computed(method, "dout", dout, types, dout.rows, dout.cols);
  expect_computed(method, "in", in, types, in.rows, dout.cols);
  expect_computed(method, "din", din, types, in.rows, dout.cols);
  expect(method, "places", places, DType::i32, dout.rows, places.cols);
  expect(method, "weights", weights, types.real, dout.rows, places.cols);
  expect(method, "dweights", dweights, types.real, dout.rows, places.cols);
}

void head(const HeadValues& values, ConstView hidden, ConstView weight, ConstView targets, Types types) {
  expect_computed("head", "hidden", hidden, types, hidden.rows, hidden.cols);
  expect_weight("head", "weight", weight, types, weight.rows, hidden.cols);
  expect("head", "targets", targets, DType::i32, hidden.rows, 1);
  expect_if("head", "log_prob", values.log_prob, types.real, hidden.rows, 1);
  expect_if("head", "lse", values.lse, types.real, hidden.rows, 1);
  expect_if("head", "entropy", values.entropy, types.real, hidden.rows, 1);
}

void head_gradients(ConstView dhidden, ConstView dweight, const HeadGradients& gradients, ConstView hidden,
                    ConstView weight, Types types) {
  expect_computed("head_backward", "dhidden", dhidden, types, hidden.rows, hidden.cols);
  expect_computed("head_backward", "weight", weight, types, weight.rows, weight.cols);
  expect("head_backward", "dweight", dweight, types.real, weight.rows, weight.cols);
  expect_if("head_backward", "gradient of log_prob", gradients.log_prob, types.real, hidden.rows, 1);
  expect_if("head_backward", "gradient of lse", gradients.lse, types.real, hidden.rows, 1);
  expect_if("head_backward", "gradient of entropy", gradients.entropy, types.real, hidden.rows, 1);
}

void adamw(ConstView parameter, ConstView m, ConstView v, ConstView gradient, Types types) {
  expect_computed("adamw", "parameter", parameter, types, parameter.rows, parameter.cols);
  expect("adamw", "m", m, types.real, parameter.rows, parameter.cols);
  expect("adamw", "v", v, types.real, parameter.rows, parameter.cols);
  expect("adamw", "gradient", gradient, types.real, parameter.rows, parameter.cols);
}

void sample(ConstView ids, ConstView log_prob, ConstView logits, ConstView uniforms, Types types) {
  expect("sample", "logits", logits, types.real, logits.rows, logits.cols);
  expect("sample", "ids", ids, DType::i32, logits.rows, 1);
  expect("sample", "log_prob", log_prob, types.real, logits.rows, 1);
  expect("sample", "uniforms", uniforms, types.real, logits.rows, 1);
  if (logits.rows > 0 && logits.cols < 1) fail(Kind::internal, "sample: logits have no columns");
}

void segment(const char* method, int64_t begin, int64_t end, int64_t rows, bool first, bool last) {
  if (begin >= 0 && begin <= end && end <= rows && (!first || begin == 0) && (!last || end == rows)) return;
  fail(Kind::internal, method, ": an expert's rows are [", begin, ", ", end, ") of ", rows);
}

void index(const char* method, int64_t value, int64_t limit) {
  if (value < 0 || value >= limit) {
    fail(Kind::internal, method, ": index ", value, " is outside [0, ", limit, ")");
  }
}

}  // namespace gristmill::runtime::checks
