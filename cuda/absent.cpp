// Methods of the seam that have no kernels yet. A method that gets some leaves this list.

#include "base/error.hpp"
#include "cuda/backend.hpp"

namespace gristmill::runtime::cuda {

namespace {

[[noreturn]] void absent(const char* method) {
  fail(Kind::internal, method, " is not built for CUDA yet; use --device cpu");
}

}  // namespace

void CudaBackend::copy(View, ConstView) { absent("copy"); }
void CudaBackend::axpy(View, double, ConstView) { absent("axpy"); }
void CudaBackend::gather_rows(View, ConstView, ConstView) { absent("gather_rows"); }
void CudaBackend::scatter_rows(View, ConstView, ConstView) { absent("scatter_rows"); }
void CudaBackend::sum_rows(View, ConstView) { absent("sum_rows"); }
void CudaBackend::sum_of_squares(View, ConstView) { absent("sum_of_squares"); }
void CudaBackend::matmul(const Matmul&) { absent("matmul"); }
void CudaBackend::quantize(View, ConstView, bool) { absent("quantize"); }
void CudaBackend::embedding(View, ConstView, ConstView, bool) { absent("embedding"); }
void CudaBackend::embedding_backward(View, ConstView, ConstView) { absent("embedding_backward"); }
void CudaBackend::rmsnorm(View, View, ConstView, ConstView, double) { absent("rmsnorm"); }
void CudaBackend::rmsnorm_backward(View, bool, View, ConstView, ConstView, ConstView, ConstView) {
  absent("rmsnorm_backward");
}
void CudaBackend::layernorm(View, View, ConstView, ConstView, ConstView, double) { absent("layernorm"); }
void CudaBackend::layernorm_backward(View, bool, View, View, ConstView, ConstView, ConstView, ConstView) {
  absent("layernorm_backward");
}
void CudaBackend::rotary(View, ConstView, ConstView, int64_t, int64_t, bool) { absent("rotary"); }
void CudaBackend::attention(View, View, ConstView, ConstView, ConstView, ConstView, const AttentionShape&) {
  absent("attention");
}
void CudaBackend::attention_backward(View, View, View, ConstView, ConstView, ConstView, ConstView, ConstView,
                                     ConstView, ConstView, const AttentionShape&) {
  absent("attention_backward");
}
void CudaBackend::cached_attention(View, ConstView, ConstView, ConstView, ConstView, ConstView, int64_t,
                                   const AttentionShape&) {
  absent("cached_attention");
}
void CudaBackend::swiglu(View, ConstView) { absent("swiglu"); }
void CudaBackend::swiglu_backward(View, ConstView, ConstView) { absent("swiglu_backward"); }
void CudaBackend::gelu(View, ConstView) { absent("gelu"); }
void CudaBackend::gelu_backward(View, ConstView, ConstView) { absent("gelu_backward"); }
void CudaBackend::route(const Routing&, ConstView) { absent("route"); }
void CudaBackend::route_backward(View, ConstView, const Routing&, const RouterGradients&) {
  absent("route_backward");
}
void CudaBackend::grouped_matmul(const GroupedMatmul&) { absent("grouped_matmul"); }
void CudaBackend::grouped_matmul_gradient(View, int64_t, ConstView, ConstView, ConstView) {
  absent("grouped_matmul_gradient");
}
void CudaBackend::combine_rows(View, ConstView, ConstView, ConstView, ConstView) { absent("combine_rows"); }
void CudaBackend::combine_rows_backward(View, View, ConstView, ConstView, ConstView, ConstView) {
  absent("combine_rows_backward");
}
void CudaBackend::head(const HeadValues&, ConstView, ConstView, ConstView, double) { absent("head"); }
void CudaBackend::head_backward(View, bool, View, const HeadValues&, ConstView, ConstView, ConstView,
                                const HeadGradients&, double) {
  absent("head_backward");
}
void CudaBackend::adamw(View, View, View, ConstView, const AdamW&) { absent("adamw"); }
void CudaBackend::sample(View, View, ConstView, ConstView, const Sampling&) { absent("sample"); }

}  // namespace gristmill::runtime::cuda
