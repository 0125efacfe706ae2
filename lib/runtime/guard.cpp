// A device whose memory the host cannot touch between calls: pages are PROT_NONE except while a method of the
// backend, write() or read() runs. It forwards to the inner device's backend, which sees the pages as its
// own.

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "runtime/backend.hpp"
#include "runtime/device.hpp"

namespace gristmill::runtime {

namespace {

/// The guarded pages, and how deep we are in calls that may touch them.
class Pages {
 public:
  void* map(size_t bytes) {
    const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    const size_t rounded = bytes == 0 ? page : (bytes + page - 1) / page * page;
    void* memory = ::mmap(nullptr, rounded, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail(Kind::device, "guarded device has no ", bytes, " bytes of memory left");
    sizes_.emplace(memory, rounded);
    return memory;
  }
  /// Returns how many bytes there were.
  size_t unmap(void* memory) noexcept {
    const auto found = sizes_.find(memory);
    if (found == sizes_.end()) return 0;
    const size_t size = found->second;
    ::munmap(found->first, size);
    sizes_.erase(found);
    return size;
  }
  void protect(int protection) {
    for (const auto& [memory, size] : sizes_) {
      if (::mprotect(memory, size, protection) != 0) fail_errno("cannot protect guarded memory", "mprotect");
    }
  }

 private:
  std::map<void*, size_t> sizes_;
};

class Opened {
 public:
  explicit Opened(Pages& pages) : pages_(pages) { pages_.protect(PROT_READ | PROT_WRITE); }
  ~Opened() { pages_.protect(PROT_NONE); }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

 private:
  Pages& pages_;
};

class GuardBackend final : public Backend {
 public:
  GuardBackend(Device& inner, Pages& pages) : inner_(inner), pages_(pages) {}

  void fill(View out, double value) override { call(&Backend::fill, out, value); }
  void copy(View out, ConstView in) override { call(&Backend::copy, out, in); }
  void axpy(View out, double scale, ConstView in) override { call(&Backend::axpy, out, scale, in); }
  void gather_rows(View out, ConstView in, ConstView rows) override {
    call(&Backend::gather_rows, out, in, rows);
  }
  void scatter_rows(View out, ConstView in, ConstView rows) override {
    call(&Backend::scatter_rows, out, in, rows);
  }
  void sum_rows(View out, ConstView in) override { call(&Backend::sum_rows, out, in); }
  void sum_of_squares(View out, ConstView in) override { call(&Backend::sum_of_squares, out, in); }
  void matmul(const Matmul& args) override { call(&Backend::matmul, args); }
  void quantize(View out, ConstView weight, bool transposed) override {
    call(&Backend::quantize, out, weight, transposed);
  }
  void embedding(View out, ConstView table, ConstView ids, bool accumulate) override {
    call(&Backend::embedding, out, table, ids, accumulate);
  }
  void embedding_backward(View dtable, ConstView dout, ConstView ids) override {
    call(&Backend::embedding_backward, dtable, dout, ids);
  }
  void rmsnorm(View out, View rstd, ConstView in, ConstView weight, double eps) override {
    call(&Backend::rmsnorm, out, rstd, in, weight, eps);
  }
  void rmsnorm_backward(View din, bool accumulate_din, View dweight, ConstView dout, ConstView in,
                        ConstView weight, ConstView rstd) override {
    call(&Backend::rmsnorm_backward, din, accumulate_din, dweight, dout, in, weight, rstd);
  }
  void layernorm(View out, View moments, ConstView in, ConstView weight, ConstView bias,
                 double eps) override {
    call(&Backend::layernorm, out, moments, in, weight, bias, eps);
  }
  void layernorm_backward(View din, bool accumulate_din, View dweight, View dbias, ConstView dout,
                          ConstView in, ConstView weight, ConstView moments) override {
    call(&Backend::layernorm_backward, din, accumulate_din, dweight, dbias, dout, in, weight, moments);
  }
  void rotary(View x, ConstView positions, ConstView inverse_frequency, int64_t heads, int64_t head_dim,
              bool inverse) override {
    call(&Backend::rotary, x, positions, inverse_frequency, heads, head_dim, inverse);
  }
  void attention(View out, View lse, ConstView q, ConstView k, ConstView v, ConstView document_starts,
                 const AttentionShape& shape) override {
    call(&Backend::attention, out, lse, q, k, v, document_starts, shape);
  }
  void attention_backward(View dq, View dk, View dv, ConstView dout, ConstView q, ConstView k, ConstView v,
                          ConstView out, ConstView lse, ConstView document_starts,
                          const AttentionShape& shape) override {
    call(&Backend::attention_backward, dq, dk, dv, dout, q, k, v, out, lse, document_starts, shape);
  }
  void cached_attention(View out, ConstView q, ConstView cache_k, ConstView cache_v, ConstView sequence,
                        ConstView length, int64_t capacity, const AttentionShape& shape) override {
    call(&Backend::cached_attention, out, q, cache_k, cache_v, sequence, length, capacity, shape);
  }
  void swiglu(View out, ConstView gate_up) override { call(&Backend::swiglu, out, gate_up); }
  void swiglu_backward(View dgate_up, ConstView dout, ConstView gate_up) override {
    call(&Backend::swiglu_backward, dgate_up, dout, gate_up);
  }
  void gelu(View out, ConstView in) override { call(&Backend::gelu, out, in); }
  void gelu_backward(View din, ConstView dout, ConstView in) override {
    call(&Backend::gelu_backward, din, dout, in);
  }
  void route(const Routing& out, ConstView logits) override { call(&Backend::route, out, logits); }
  void route_backward(View dlogits, ConstView dweights, const Routing& routing,
                      const RouterGradients& gradients) override {
    call(&Backend::route_backward, dlogits, dweights, routing, gradients);
  }
  void grouped_matmul(const GroupedMatmul& args) override { call(&Backend::grouped_matmul, args); }
  void grouped_matmul_gradient(View dweight, int64_t expert_stride, ConstView dout, ConstView a,
                               ConstView offsets) override {
    call(&Backend::grouped_matmul_gradient, dweight, expert_stride, dout, a, offsets);
  }
  void combine_rows(View out, ConstView in, ConstView weights, ConstView places,
                    ConstView residual) override {
    call(&Backend::combine_rows, out, in, weights, places, residual);
  }
  void combine_rows_backward(View din, View dweights, ConstView dout, ConstView in, ConstView weights,
                             ConstView places) override {
    call(&Backend::combine_rows_backward, din, dweights, dout, in, weights, places);
  }
  void head(const HeadValues& values, ConstView hidden, ConstView weight, ConstView targets,
            double logit_scale) override {
    call(&Backend::head, values, hidden, weight, targets, logit_scale);
  }
  void head_backward(View dhidden, bool accumulate_dweight, View dweight, const HeadValues& values,
                     ConstView hidden, ConstView weight, ConstView targets, const HeadGradients& gradients,
                     double logit_scale) override {
    call(&Backend::head_backward, dhidden, accumulate_dweight, dweight, values, hidden, weight, targets,
         gradients, logit_scale);
  }
  void adamw(View parameter, View m, View v, ConstView gradient, const AdamW& args) override {
    call(&Backend::adamw, parameter, m, v, gradient, args);
  }
  void sample(View ids, View log_prob, ConstView logits, ConstView uniforms, const Sampling& args) override {
    call(&Backend::sample, ids, log_prob, logits, uniforms, args);
  }

 private:
  template <class Method, class... Args>
  void call(Method method, const Args&... args) {
    const Opened opened(pages_);
    (inner_.backend().*method)(args...);
    inner_.synchronize();
  }
  Device& inner_;
  Pages& pages_;
};

class GuardDevice final : public Device {
 public:
  explicit GuardDevice(std::unique_ptr<Device> inner) : inner_(std::move(inner)), backend_(*inner_, pages_) {}

  std::string name() const override { return "guarded " + inner_->name(); }
  DType real() const override { return inner_->real(); }
  DType compute() const override { return inner_->compute(); }
  double peak_flops() override { return inner_->peak_flops(); }
  Backend& backend() override { return backend_; }
  void* allocate(size_t bytes) override { return pages_.map(bytes); }
  void release(void* memory) noexcept override { forget(memory, pages_.unmap(memory)); }
  void forget(const void* memory, size_t bytes) noexcept override { inner_->forget(memory, bytes); }
  void write(void* to, const void* host, size_t bytes) override {
    const Opened opened(pages_);
    if (bytes > 0) inner_->write(to, host, bytes);
  }
  void read(void* host, const void* from, size_t bytes) override {
    const Opened opened(pages_);
    inner_->read(host, from, bytes);
  }
  void synchronize() override { inner_->synchronize(); }

 private:
  std::unique_ptr<Device> inner_;
  Pages pages_;
  GuardBackend backend_;
};

}  // namespace

std::unique_ptr<Device> guard_device(std::unique_ptr<Device> inner) {
  return std::make_unique<GuardDevice>(std::move(inner));
}

}  // namespace gristmill::runtime
