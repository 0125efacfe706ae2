#include "cuda/library_products.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <tuple>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/str.hpp"

namespace gristmill::runtime::cuda {

namespace {

/// What NVIDIA's guide advises for sm_90; others ask for less.
constexpr uint64_t kMostWorkspace = uint64_t{32} << 20;
constexpr uint32_t kMostAlignment = 16;
constexpr size_t kMostPlans = 4096;  // shapes of a run: a few dozen, but for prompts of all lengths

uint32_t alignment_of(const void* data, int64_t pitch_bytes) {
  const auto bits = reinterpret_cast<uintptr_t>(data) | static_cast<uintptr_t>(pitch_bytes);
  uint32_t alignment = kMostAlignment;
  while (bits % alignment != 0) alignment /= 2;
  return alignment;
}

uint32_t alignment_of(const ConstView& view) {
  return alignment_of(view.data, view.rows > 1 ? view.stride * static_cast<int64_t>(size_of(view.dtype)) : 0);
}

/// From row to row; of a single row nobody goes on, and any that holds it will do.
int64_t pitch_of(int64_t rows, int64_t cols, int64_t stride) {
  return rows > 1 ? stride : (cols + kMostAlignment - 1) / kMostAlignment * kMostAlignment;
}
int64_t pitch_of(const ConstView& view) { return pitch_of(view.rows, view.cols, view.stride); }

/// What is added to the product: the residual, or what out holds.
ConstView addend_of(const Matmul& args) { return args.accumulate ? ConstView(args.out) : args.residual; }

int type_of(bool narrow) { return narrow ? kTypeBf16 : kTypeF32; }

}  // namespace

LibraryProducts::LibraryProducts(Gpu& gpu, const Cublas* cublas, DType compute, const LibraryOptions& options)
    : gpu_(gpu), cublas_(cublas), narrow_(compute == DType::bf16), options_(options) {
  if (cublas_ == nullptr) return;
  const CublasStatus status = cublas_->create(&handle_);
  if (status == kCublasSuccess) return;
  const char* text = cublas_->status_string(status);
  log::info("cuBLASLt (", cublas_->library,
            ") does not start: ", text == nullptr ? "an unknown status" : text, " (", status,
            "); our own kernels make all products. A driver as new as the library helps");
  handle_ = nullptr;
  cublas_ = nullptr;
}

LibraryProducts::~LibraryProducts() {
  try {
    gpu_.begin_work("the end of cuBLASLt");
  } catch (const Error&) {
    return;  // the GPU was lost before, and whoever waited for it knows
  }
  plans_.clear();
  if (handle_ != nullptr) cublas_->destroy(handle_);
}

bool LibraryProducts::takes(const Matmul& args) const {
  if (cublas_ == nullptr || args.b.dtype == DType::i8) return false;
  const int64_t rows = args.out.rows, cols = args.out.cols,
                depth = args.transpose_a ? args.a.rows : args.a.cols;
  if (std::min({rows, cols, depth}) < std::max<int64_t>(options_.least_side, 1)) return false;
  if (std::max({rows, cols, depth}) > std::numeric_limits<int32_t>::max()) return false;
  const double operations =
      2.0 * static_cast<double>(rows) * static_cast<double>(cols) * static_cast<double>(depth);
  if (operations < static_cast<double>(options_.least_operations)) return false;
  for (const ConstView& added : {args.bias, args.residual}) {
    if (added && added.dtype != args.out.dtype) return false;
  }
  // In place is the same place.
  if (args.residual.data == args.out.data && pitch_of(args.residual) != pitch_of(args.out)) return false;
  const auto aligned = [&](const ConstView& view) {
    return !view || alignment_of(view) >= static_cast<uint64_t>(options_.least_alignment);
  };
  return aligned(args.out) && aligned(args.residual) && aligned(args.bias);
}

LibraryProducts::Shape LibraryProducts::shape_of(const Matmul& args, const Operand& a,
                                                 const Operand& b) const {
  const int64_t size = narrow_ ? 2 : 4;
  const ConstView addend = addend_of(args), &out = args.out;
  Shape shape = {};
  shape.rows = out.rows;
  shape.cols = out.cols;
  shape.depth = args.transpose_a ? args.a.rows : args.a.cols;
  shape.pitch_a = pitch_of(args.a.rows, args.a.cols, a.stride);
  shape.pitch_b = pitch_of(args.b.rows, args.b.cols, b.stride);
  shape.pitch_out = pitch_of(out);
  shape.pitch_addend = addend ? pitch_of(addend) : shape.pitch_out;
  shape.align_a = alignment_of(a.data, shape.pitch_a * size);
  shape.align_b = alignment_of(b.data, shape.pitch_b * size);
  shape.align_out = alignment_of(out);
  shape.align_addend = addend ? alignment_of(addend) : shape.align_out;
  shape.align_bias = args.bias ? alignment_of(args.bias.data, 0) : 0;
  shape.transpose_a = args.transpose_a;
  shape.transpose_b = args.transpose_b;
  shape.narrow_out = out.dtype == DType::bf16;
  return shape;
}

template <class Value>
void LibraryProducts::set(const Plan& plan, ProductAttribute attribute, const Value& value) const {
  check(*cublas_, cublas_->product_set(plan.product.get(), attribute, &value, sizeof value),
        "describing a product");
}

LibraryProducts::Owned<CublasLayout> LibraryProducts::layout(bool narrow, int64_t rows, int64_t cols,
                                                             int64_t pitch) const {
  // A row of ours is a column of theirs.
  CublasLayout made = nullptr;
  check(*cublas_,
        cublas_->layout_create(&made, type_of(narrow), static_cast<uint64_t>(cols),
                               static_cast<uint64_t>(rows), pitch),
        "describing a matrix");
  return {made, cublas_->layout_destroy};
}

/// Ours lie row by row, theirs column by column: what is a matrix for us is its transpose for them, with the
/// same pitch. out = a·b is therefore made as outᵀ = bᵀ·aᵀ: their A is our b and their B is our a, each as it
/// is stored where we take it as it is stored and transposed where we do; their rows are our columns, which
/// is where a bias along our columns is wanted.
LibraryProducts::Plan LibraryProducts::described(const Shape& shape) const {
  CublasProduct made = nullptr;
  check(*cublas_, cublas_->product_create(&made, kComputeF32, kTypeF32), "describing a product");
  const auto& [rows, cols, depth] = std::tie(shape.rows, shape.cols, shape.depth);
  Plan plan{
      {made, cublas_->product_destroy},
      layout(narrow_, shape.transpose_a ? depth : rows, shape.transpose_a ? rows : depth, shape.pitch_a),
      layout(narrow_, shape.transpose_b ? cols : depth, shape.transpose_b ? depth : cols, shape.pitch_b),
      layout(shape.narrow_out, rows, cols, shape.pitch_addend),
      layout(shape.narrow_out, rows, cols, shape.pitch_out)};
  set(plan, ProductAttribute::transpose_a, shape.transpose_b ? kTransposed : kAsStored);
  set(plan, ProductAttribute::transpose_b, shape.transpose_a ? kTransposed : kAsStored);
  set(plan, ProductAttribute::epilogue, shape.align_bias > 0 ? kEpilogueBias : kEpilogueNone);
  return plan;
}

void LibraryProducts::choose(const Shape& shape, Plan& plan) {
  CublasPreference made = nullptr;
  check(*cublas_, cublas_->preference_create(&made), "describing a search");
  const Owned<CublasPreference> preference(made, cublas_->preference_destroy);
  const auto prefer = [&](PreferenceAttribute attribute, const auto& value) {
    check(*cublas_, cublas_->preference_set(made, attribute, &value, sizeof value), "describing a search");
  };
  prefer(PreferenceAttribute::most_workspace, kMostWorkspace);
  prefer(PreferenceAttribute::reductions, kReductionInF32);
  prefer(PreferenceAttribute::alignment_a, shape.align_b);
  prefer(PreferenceAttribute::alignment_b, shape.align_a);
  prefer(PreferenceAttribute::alignment_c, shape.align_addend);
  prefer(PreferenceAttribute::alignment_d, shape.align_out);
  if (shape.align_bias > 0) {
    // The search looks at how the bias is aligned and not at what is there: an address aligned as little as
    // was promised, so that the choice is a matter of the shape alone.
    set(plan, ProductAttribute::bias_pointer, static_cast<uintptr_t>(shape.align_bias));
  }
  CublasChoice choice = {};
  int found = 0;
  const CublasStatus status = cublas_->choose(handle_, plan.product.get(), plan.b.get(), plan.a.get(),
                                              plan.addend.get(), plan.out.get(), made, 1, &choice, &found);
  if (status != kCublasNotSupported) check(*cublas_, status, "looking for a way to make a product");
  plan.possible = status == kCublasSuccess && found > 0 && choice.state == kCublasSuccess;
  plan.algorithm = choice.algorithm;
  plan.workspace = choice.workspace;
}

LibraryProducts::Plan& LibraryProducts::planned(const Shape& shape) {
  const auto known = plans_.find(shape);
  if (known != plans_.end()) return known->second;
  if (plans_.size() >= kMostPlans) plans_.clear();
  Plan plan = described(shape);
  choose(shape, plan);
  return plans_.emplace(shape, std::move(plan)).first->second;
}

bool LibraryProducts::multiply(const Matmul& args, const Operand& a, const Operand& b) {
  gpu_.begin_work("a product of cuBLASLt");
  Plan& plan = planned(shape_of(args, a, b));
  if (!plan.possible) return false;
  if (args.bias) set(plan, ProductAttribute::bias_pointer, args.bias.data);
  // The most at once: growing would wait for the GPU each time.
  char* workspace = plan.workspace > 0 ? workspace_.get<char>(kMostWorkspace) : nullptr;
  const ConstView addend = addend_of(args);
  const float one = 1, beta = addend ? 1 : 0;
  const CublasStatus status =
      cublas_->multiply(handle_, plan.product.get(), &one, b.data, plan.b.get(), a.data, plan.a.get(), &beta,
                        addend ? addend.data : args.out.data, plan.addend.get(), args.out.data,
                        plan.out.get(), &plan.algorithm, workspace, plan.workspace, gpu_.stream());
  plan.possible = status != kCublasNotSupported;  // what a search cannot know: beta, and where C lies
  if (plan.possible && status != kCublasSuccess) {
    check(*cublas_, status,
          str("a product of ", args.out.rows, " x ", args.out.cols, ", ",
              args.transpose_a ? args.a.rows : args.a.cols, " deep,"));
  }
  return plan.possible;
}

}  // namespace gristmill::runtime::cuda
