// Our declarations of cuBLASLt against those of the toolkit's header, where it is installed: numbers, sizes,
// and how its functions are called; and against the library, which needs no GPU to take descriptions.

#if __has_include(<cublasLt.h>)

#include <cublasLt.h>

#include <cstddef>
#include <cstdint>

#include "called_alike.hpp"
#include "cuda/cublas/cublas.hpp"
#include "support/catch.hpp"

namespace {

namespace ours = gristmill::runtime::cuda;
using ours::Cublas;
using ours::PreferenceAttribute;
using ours::ProductAttribute;

template <class Enum>
constexpr int number(Enum value) {
  return static_cast<int>(value);
}

static_assert(ours::kCublasSuccess == CUBLAS_STATUS_SUCCESS);
static_assert(ours::kCublasInvalidValue == CUBLAS_STATUS_INVALID_VALUE);
static_assert(ours::kCublasNotSupported == CUBLAS_STATUS_NOT_SUPPORTED);
static_assert(ours::kTypeF32 == CUDA_R_32F && ours::kTypeBf16 == CUDA_R_16BF);
static_assert(ours::kComputeF32 == CUBLAS_COMPUTE_32F);
static_assert(ours::kAsStored == CUBLAS_OP_N && ours::kTransposed == CUBLAS_OP_T);
static_assert(number(ProductAttribute::transpose_a) == CUBLASLT_MATMUL_DESC_TRANSA);
static_assert(number(ProductAttribute::transpose_b) == CUBLASLT_MATMUL_DESC_TRANSB);
static_assert(number(ProductAttribute::epilogue) == CUBLASLT_MATMUL_DESC_EPILOGUE);
static_assert(number(ProductAttribute::bias_pointer) == CUBLASLT_MATMUL_DESC_BIAS_POINTER);
static_assert(ours::kEpilogueNone == CUBLASLT_EPILOGUE_DEFAULT);
static_assert(ours::kEpilogueBias == CUBLASLT_EPILOGUE_BIAS);
static_assert(number(PreferenceAttribute::most_workspace) == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
static_assert(number(PreferenceAttribute::reductions) == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
static_assert(number(PreferenceAttribute::alignment_a) == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
static_assert(number(PreferenceAttribute::alignment_b) == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
static_assert(number(PreferenceAttribute::alignment_c) == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
static_assert(number(PreferenceAttribute::alignment_d) == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
static_assert(ours::kReductionInF32 == CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
static_assert(sizeof(ours::CublasAlgorithm) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(ours::CublasChoice) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(ours::CublasChoice, workspace) ==
              offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(ours::CublasChoice, state) == offsetof(cublasLtMatmulHeuristicResult_t, state));
static_assert(offsetof(ours::CublasChoice, waves) == offsetof(cublasLtMatmulHeuristicResult_t, wavesCount));

using gristmill::runtime::test::kCalledAlike;

static_assert(kCalledAlike<decltype(Cublas::status_string), decltype(&cublasLtGetStatusString)>);
static_assert(kCalledAlike<decltype(Cublas::version), decltype(&cublasLtGetVersion)>);
static_assert(kCalledAlike<decltype(Cublas::create), decltype(&cublasLtCreate)>);
static_assert(kCalledAlike<decltype(Cublas::destroy), decltype(&cublasLtDestroy)>);
static_assert(kCalledAlike<decltype(Cublas::product_create), decltype(&cublasLtMatmulDescCreate)>);
static_assert(kCalledAlike<decltype(Cublas::product_set), decltype(&cublasLtMatmulDescSetAttribute)>);
static_assert(kCalledAlike<decltype(Cublas::product_destroy), decltype(&cublasLtMatmulDescDestroy)>);
static_assert(kCalledAlike<decltype(Cublas::layout_create), decltype(&cublasLtMatrixLayoutCreate)>);
static_assert(kCalledAlike<decltype(Cublas::layout_destroy), decltype(&cublasLtMatrixLayoutDestroy)>);
static_assert(kCalledAlike<decltype(Cublas::preference_create), decltype(&cublasLtMatmulPreferenceCreate)>);
static_assert(
    kCalledAlike<decltype(Cublas::preference_set), decltype(&cublasLtMatmulPreferenceSetAttribute)>);
static_assert(kCalledAlike<decltype(Cublas::preference_destroy), decltype(&cublasLtMatmulPreferenceDestroy)>);
static_assert(kCalledAlike<decltype(Cublas::choose), decltype(&cublasLtMatmulAlgoGetHeuristic)>);
static_assert(kCalledAlike<decltype(Cublas::multiply), decltype(&cublasLtMatmul)>);
static_assert(!kCalledAlike<decltype(Cublas::multiply), decltype(&cublasLtMatrixTransform)>);

}  // namespace

TEST_CASE("our declarations of cuBLASLt are the toolkit's", "[cuda][emulator]") {
  SUCCEED("this file was compiled");  // all of it is checked by the compiler
}

TEST_CASE("NVIDIA's library has the functions, and takes our descriptions", "[cuda][emulator]") {
  const char* const libraries[] = {"libcublasLt.so.13", GRISTMILL_TOOLKIT "/lib64/libcublasLt.so.13",
                                   GRISTMILL_TOOLKIT "/lib/libcublasLt.so.13", nullptr};
  const ours::FoundCublas found = ours::find_cublas(libraries);
  if (found.functions == nullptr) {
    WARN("[skipped] " << found.absence);
    return;
  }
  const Cublas& library = *found.functions;
  CHECK(library.version() >= 130000);
  ours::CublasProduct product = nullptr;
  ours::CublasLayout layout = nullptr;
  ours::CublasPreference preference = nullptr;
  CHECK(library.product_create(&product, ours::kComputeF32, ours::kTypeF32) == ours::kCublasSuccess);
  CHECK(library.layout_create(&layout, ours::kTypeBf16, 64, 32, 72) == ours::kCublasSuccess);
  CHECK(library.preference_create(&preference) == ours::kCublasSuccess);
  const auto takes = [&](auto function, auto object, auto attribute, const auto& value) {
    return function(object, attribute, &value, sizeof value) == ours::kCublasSuccess;
  };
  for (const auto side : {ProductAttribute::transpose_a, ProductAttribute::transpose_b})
    CHECK(takes(library.product_set, product, side, ours::kTransposed));
  CHECK(takes(library.product_set, product, ProductAttribute::epilogue, ours::kEpilogueBias));
  CHECK(takes(library.product_set, product, ProductAttribute::bias_pointer, uintptr_t{16}));
  CHECK(!takes(library.product_set, product, ProductAttribute::epilogue, uint64_t{4}));  // of four bytes
  CHECK(takes(library.preference_set, preference, PreferenceAttribute::most_workspace, uint64_t{1} << 25));
  CHECK(takes(library.preference_set, preference, PreferenceAttribute::reductions, ours::kReductionInF32));
  for (const auto side : {PreferenceAttribute::alignment_a, PreferenceAttribute::alignment_b,
                          PreferenceAttribute::alignment_c, PreferenceAttribute::alignment_d})
    CHECK(takes(library.preference_set, preference, side, uint32_t{16}));
  CHECK(library.product_destroy(product) == ours::kCublasSuccess);
  CHECK(library.layout_destroy(layout) == ours::kCublasSuccess);
  CHECK(library.preference_destroy(preference) == ours::kCublasSuccess);
}

#endif
