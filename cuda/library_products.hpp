#pragma once

// Large products by NVIDIA's cuBLASLt: a + b·c with a bias, which is what its kernels can add on the way
// without breaking the contract of runtime/backend.hpp:
//
// - "Finished first, then added once": what is accumulated or a residual is beta · C, which cuBLASLt adds to
//   the finished sum. A sum may be split only where its parts are added up in f32 by a step of their own, and
//   how a product is made is asked once for a shape, with the same promises about alignment each time: the
//   same shapes give the same bits in every run on one kind of GPU.
// - Its GELU works on sums before they are rounded, the contract's on what is stored: activations have a
//   kernel of their own behind it.
// - Its bias and its C have the type of D. Where ours have another, as f32 beside a bf16 result, our own
//   kernels make the product and round once.
//
// Products of experts are not made here: how many rows an expert has is known on the GPU alone.

#include <cstdint>
#include <map>
#include <memory>
#include <type_traits>

#include "cuda/cublas/cublas.hpp"
#include "cuda/gpu.hpp"
#include "cuda/product_arguments.hpp"
#include "runtime/backend.hpp"

namespace gristmill::runtime::cuda {

/// Which products are large. The defaults are reckoned, not measured: a GPU of 300 to 1000 TFLOP/s makes 2^30
/// operations in 1 to 4 µs, what it takes to launch anything, so that less cannot gain; below a tile of 64
/// either way the library's tiles are mostly empty, as ours are, and what counts is reading the weight once.
/// Rows on 16 bytes are what its fast kernels (TMA, cp.async of 16 bytes) want.
struct LibraryOptions {
  int64_t least_operations = int64_t{1} << 30;  ///< 2 · rows · columns · depth
  int64_t least_side = 64;                      ///< each of the three
  int64_t least_alignment = 16;                 ///< bytes, of results and what is added
};

class LibraryProducts {
 public:
  /// Where cublas is null or does not start, which it says, it takes nothing.
  LibraryProducts(Gpu& gpu, const Cublas* cublas, DType compute, const LibraryOptions& options);
  ~LibraryProducts();
  LibraryProducts(const LibraryProducts&) = delete;
  LibraryProducts& operator=(const LibraryProducts&) = delete;

  /// Whether a product, which fits the contract, is one to be made here.
  bool takes(const Matmul& args) const;
  /// Enqueues the product of the operands in the compute type, without its activation; false where the
  /// library has no way to make it. Error{device} with the library's own words where it fails.
  bool multiply(const Matmul& args, const Operand& a, const Operand& b);

 private:
  /// All that the way of a product depends on.
  struct Shape {
    int64_t rows, cols, depth, pitch_a, pitch_b, pitch_out, pitch_addend;
    uint32_t align_a, align_b, align_out, align_addend, align_bias;  ///< of the bias 0: there is none
    bool transpose_a, transpose_b, narrow_out;
    auto operator<=>(const Shape&) const = default;
  };
  template <class Handle>
  using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, CublasStatus (*)(Handle)>;
  struct Plan {
    Owned<CublasProduct> product;
    Owned<CublasLayout> a, b, addend, out;
    CublasAlgorithm algorithm = {};
    size_t workspace = 0;
    bool possible = false;
  };

  Shape shape_of(const Matmul& args, const Operand& a, const Operand& b) const;
  Plan& planned(const Shape& shape);
  Plan described(const Shape& shape) const;
  void choose(const Shape& shape, Plan& plan);
  Owned<CublasLayout> layout(bool narrow, int64_t rows, int64_t cols, int64_t pitch) const;
  template <class Value>
  void set(const Plan& plan, ProductAttribute attribute, const Value& value) const;

  Gpu& gpu_;
  const Cublas* cublas_;
  const bool narrow_;  ///< operands are bf16
  const LibraryOptions options_;
  CublasHandle handle_ = nullptr;
  std::map<Shape, Plan> plans_;
  Workspace workspace_{gpu_};
};

}  // namespace gristmill::runtime::cuda
