#pragma once

// The CPU's Backend: f32 or mixed with bf16, our thread pool, the kernels of the best instruction set. Work
// is split by output; nothing is summed across threads.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/parallel.hpp"
#include "runtime/backend.hpp"
#include "runtime/checks.hpp"
#include "runtime/cpu/computed_rows.hpp"
#include "runtime/cpu/kernels.hpp"
#include "runtime/cpu/panels.hpp"
#include "runtime/matrix.hpp"

namespace gristmill::runtime::cpu {

/// Aligned memory of the calling thread, valid until its next call; the content is undefined.
float* thread_scratch(int64_t floats);

/// Query rows [first, first + queries) over key rows [key, key + keys) for `heads` heads from `head` on (in
/// the backward: of key head `head`).
struct AttentionTask {
  int64_t first, queries, key, keys, head, heads;
};

constexpr int64_t kAttentionRun = 512;  ///< queries of one task

struct AttentionViews {
  ConstView q, k, v;
  View out;
};

/// The block of out from (row, col) with its epilogue; what it is the product of is not set.
ProductBlock output_block(const Matmul& args, int64_t row, int64_t rows, int64_t col, int64_t cols);

class CpuBackend final : public Backend {
 public:
  CpuBackend(int threads, DType compute);
  const Kernels& kernels() const { return kernels_; }
  DType compute() const { return types_.compute; }
  PanelCache& panels() { return panels_; }
  double peak_flops();

  void fill(View out, double value) override;
  void copy(View out, ConstView in) override;
  void axpy(View out, double scale, ConstView in) override;
  void gather_rows(View out, ConstView in, ConstView rows) override;
  void scatter_rows(View out, ConstView in, ConstView rows) override;
  void sum_rows(View out, ConstView in) override;
  void sum_of_squares(View out, ConstView in) override;
  void matmul(const Matmul& args) override;
  void quantize(View out, ConstView weight, bool transposed) override;
  void embedding(View out, ConstView table, ConstView ids, bool accumulate) override;
  void embedding_backward(View dtable, ConstView dout, ConstView ids) override;
  void rmsnorm(View out, View rstd, ConstView in, ConstView weight, double eps) override;
  void rmsnorm_backward(View din, bool accumulate_din, View dweight, ConstView dout, ConstView in,
                        ConstView weight, ConstView rstd) override;
  void layernorm(View out, View moments, ConstView in, ConstView weight, ConstView bias, double eps) override;
  void layernorm_backward(View din, bool accumulate_din, View dweight, View dbias, ConstView dout,
                          ConstView in, ConstView weight, ConstView moments) override;
  void rotary(View x, ConstView positions, ConstView inverse_frequency, int64_t heads, int64_t head_dim,
              bool inverse) override;
  void attention(View out, View lse, ConstView q, ConstView k, ConstView v, ConstView document_starts,
                 const AttentionShape& shape) override;
  void attention_backward(View dq, View dk, View dv, ConstView dout, ConstView q, ConstView k, ConstView v,
                          ConstView out, ConstView lse, ConstView document_starts,
                          const AttentionShape& shape) override;
  void cached_attention(View out, ConstView q, ConstView cache_k, ConstView cache_v, ConstView sequence,
                        ConstView length, int64_t capacity, const AttentionShape& shape) override;
  void swiglu(View out, ConstView gate_up) override;
  void swiglu_backward(View dgate_up, ConstView dout, ConstView gate_up) override;
  void gelu(View out, ConstView in) override;
  void gelu_backward(View din, ConstView dout, ConstView in) override;
  void route(const Routing& out, ConstView logits) override;
  void route_backward(View dlogits, ConstView dweights, const Routing& routing,
                      const RouterGradients& gradients) override;
  void grouped_matmul(const GroupedMatmul& args) override;
  void grouped_matmul_gradient(View dweight, int64_t expert_stride, ConstView dout, ConstView a,
                               ConstView offsets) override;
  void combine_rows(View out, ConstView in, ConstView weights, ConstView places, ConstView residual) override;
  void combine_rows_backward(View din, View dweights, ConstView dout, ConstView in, ConstView weights,
                             ConstView places) override;
  void head(const HeadValues& values, ConstView hidden, ConstView weight, ConstView targets,
            double logit_scale) override;
  void head_backward(View dhidden, bool accumulate_dweight, View dweight, const HeadValues& values,
                     ConstView hidden, ConstView weight, ConstView targets, const HeadGradients& gradients,
                     double logit_scale) override;
  void adamw(View parameter, View m, View v, ConstView gradient, const AdamW& args) override;
  void sample(View ids, View log_prob, ConstView logits, ConstView uniforms, const Sampling& args) override;

 private:
  /// Runs body(first, count) over [0, size) in blocks of `block`, on one thread when the whole costs less
  /// than a wake-up; `cost` is about one nanosecond's work for one item.
  void each_block(int64_t size, int64_t block, double cost,
                  const std::function<void(int64_t, int64_t)>& body);
  void each_row(int64_t rows, double cost, const std::function<void(int64_t)>& body);
  /// Runs body(row, first, count) over runs of columns of every row; `cost` is an element's.
  void each_run(int64_t rows, int64_t cols, double cost,
                const std::function<void(int64_t, int64_t, int64_t)>& body);
  /// The product; `packed_b` may hold b in panels already.
  void product(const Matmul& args, const float* packed_b);
  void product_blocks(const Matmul& args, const float* packed_b, int64_t block_rows, int64_t block_cols);
  bool makes_activation(const Matmul& args) const;
  /// b in panels in `memory`, of panel_floats().
  void pack(float* memory, const ConstView& b, bool transposed);
  int64_t panel_floats(const ConstView& b, bool transposed) const;
  const float* pack_once(std::vector<float>& memory, const ConstView& b, bool transposed);
  /// The panels of a weight for a product of `rows` rows; null where packing them would not pay.
  const float* kept_panels(const ConstView& b, bool transposed, int64_t rows);
  const float* head_panels(std::vector<float>& memory, ConstView weight, bool transposed, int64_t rows);
  /// A product with a weight in int8, and a row of such a weight.
  void int8_product(const Matmul& args);
  const char* pack_int8_rows(const ConstView& a);
  void int8_row(float* out, const ConstView& weight, int64_t row) const;
  /// A vector (1 × n) as floats: where it is, or widened into `memory`. Null if absent.
  const float* floats_of(const ConstView& vector, std::vector<float>& memory) const;
  /// A norm over all rows; the rows themselves are set block by block.
  NormRows norm_of(ConstView moments, ConstView weight, ConstView bias, double eps);
  void norm_forward(NormRows all, const WritableRows& out, const ComputedRows& in,
                    void (*kernel)(const NormRows&));
  void norm_backward(NormRows all, const WritableRows& din, const ComputedRows& dout, const ComputedRows& in,
                     Matrix<float> dweight, Matrix<float> dbias, void (*kernel)(const NormRows&));
  void attend(const AttentionViews& views, const AttentionShape& shape, const AttentionTask& task, View lse);
  void attend_all(const AttentionViews& views, const AttentionShape& shape,
                  const std::vector<AttentionTask>& tasks, View lse);
  void attend_row(const AttentionViews& views, const AttentionShape& shape, const AttentionTask& task);
  void attend_rows(const AttentionViews& views, const AttentionShape& shape,
                   const std::vector<AttentionTask>& rows);
  void rotary_table(Matrix<const int32_t> positions, Matrix<const float> inverse_frequency);
  void head_chunk_values(const HeadValues& values, Matrix<float> logits, int64_t first,
                         Matrix<const int32_t> targets, float scale, const HeadGradients* gradients);

  /// Views that were written to: packed forms of what they held are outdated.
  template <class... Views>
  void written(const Views&... outs) {
    (panels_.written(outs), ...);
  }
  ComputedRows computed(const ConstView& view) const { return {kernels_, view}; }
  WritableRows computed(const View& view) const { return {kernels_, view}; }

  const Kernels& kernels_;
  const checks::Types types_;
  const Products& products_;  ///< of the compute type
  const Attention& attention_;
  ThreadPool pool_;
  PanelCache panels_;
  double peak_flops_ = 0;
  std::vector<float> packed_, packed_too_, packed_cols_, logits_, sums_, head_sums_;
  std::vector<float> norm_weight_, norm_bias_, bias_;  ///< widened
  std::vector<float> frequencies_, cosines_,
      sines_;  ///< rotary angles of positions [0, cosines_.size() / frequencies)
};

}  // namespace gristmill::runtime::cpu
