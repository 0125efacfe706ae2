#pragma once

// NVIDIA's cuBLASLt as a table of functions: filled from the library where it is installed, or by the
// emulated GPU. Declared here by ourselves, as the driver's (cuda/driver/driver.hpp): nothing links it, and a
// program starts and trains without it. Names, arguments and meanings are those of NVIDIA's "cuBLAS"
// reference, chapter "Using the cuBLASLt API", without the prefix; every function that returns a CublasStatus
// returns 0 or an error code. Its matrices are column-major.

#include <cstddef>
#include <cstdint>
#include <string>

#include "cuda/driver/driver.hpp"

namespace gristmill::runtime::cuda {

using CublasStatus = int;
struct CublasContext;
struct ProductDescription;
struct LayoutDescription;
struct PreferenceDescription;
using CublasHandle = CublasContext*;
using CublasProduct = ProductDescription*;
using CublasLayout = LayoutDescription*;
using CublasPreference = PreferenceDescription*;

/// The statuses that we treat apart or that the emulator gives.
constexpr CublasStatus kCublasSuccess = 0, kCublasInvalidValue = 7, kCublasNotSupported = 15;

// Types, by the numbers of cudaDataType and cublasComputeType_t; operations by cublasOperation_t's.
constexpr int kTypeF32 = 0, kTypeBf16 = 14, kComputeF32 = 68, kAsStored = 0, kTransposed = 1;

/// Attributes of a product, by their numbers in cublasLtMatmulDescAttributes_t.
enum class ProductAttribute : int { transpose_a = 3, transpose_b = 4, epilogue = 7, bias_pointer = 8 };
/// Epilogues, by their numbers in cublasLtEpilogue_t: nothing; a vector along the rows of D is added.
constexpr uint32_t kEpilogueNone = 1, kEpilogueBias = 4;

/// Preferences of a search, by their numbers in cublasLtMatmulPreferenceAttributes_t.
enum class PreferenceAttribute : int {
  most_workspace = 1,
  reductions = 3,
  alignment_a = 5,
  alignment_b = 6,
  alignment_c = 7,
  alignment_d = 8
};
/// Sums that are split may be finished in a step of its own, from parts in f32 in the workspace (a bit of
/// cublasLtReductionScheme_t; to split none needs no bit).
constexpr uint32_t kReductionInF32 = 2;

/// How a product is made; opaque.
struct CublasAlgorithm {
  uint64_t data[8];
};
struct CublasChoice {
  CublasAlgorithm algorithm;
  size_t workspace;  ///< bytes that it needs
  CublasStatus state;
  float waves;
  int reserved[4];
};

struct Cublas {
  std::string library;  ///< where the functions come from, for messages

  const char* (*status_string)(CublasStatus status) = nullptr;
  size_t (*version)() = nullptr;
  CublasStatus (*create)(CublasHandle* handle) = nullptr;
  CublasStatus (*destroy)(CublasHandle handle) = nullptr;

  CublasStatus (*product_create)(CublasProduct* product, int compute, int scale) = nullptr;
  CublasStatus (*product_set)(CublasProduct product, ProductAttribute attribute, const void* value,
                              size_t bytes) = nullptr;
  CublasStatus (*product_destroy)(CublasProduct product) = nullptr;
  /// `pitch`: elements from one column to the next.
  CublasStatus (*layout_create)(CublasLayout* layout, int type, uint64_t rows, uint64_t cols,
                                int64_t pitch) = nullptr;
  CublasStatus (*layout_destroy)(CublasLayout layout) = nullptr;
  CublasStatus (*preference_create)(CublasPreference* preference) = nullptr;
  CublasStatus (*preference_set)(CublasPreference preference, PreferenceAttribute attribute,
                                 const void* value, size_t bytes) = nullptr;
  CublasStatus (*preference_destroy)(CublasPreference preference) = nullptr;

  CublasStatus (*choose)(CublasHandle handle, CublasProduct product, CublasLayout a, CublasLayout b,
                         CublasLayout c, CublasLayout d, CublasPreference preference, int wanted,
                         CublasChoice* choices, int* found) = nullptr;
  /// D = alpha · A · B + beta · C and the epilogue; alpha and beta: f32 of the host.
  CublasStatus (*multiply)(CublasHandle handle, CublasProduct product, const void* alpha, const void* a,
                           CublasLayout layout_a, const void* b, CublasLayout layout_b, const void* beta,
                           const void* c, CublasLayout layout_c, void* d, CublasLayout layout_d,
                           const CublasAlgorithm* algorithm, void* workspace, size_t workspace_bytes,
                           Stream stream) = nullptr;
};

/// A library if it can be used, and if not why, in one line that says what to install.
struct FoundCublas {
  const Cublas* functions = nullptr;
  std::string absence;
};

/// The first of these libraries (a name after another, ended by null) that there is and that has the
/// functions; loaded at the first call and never unloaded.
FoundCublas find_cublas(const char* const* libraries);
/// CUDA 13's or CUDA 12's.
FoundCublas find_cublas();

/// Throws Error{device} that names the status and `what` was being done, unless `status` is kCublasSuccess.
void check(const Cublas& cublas, CublasStatus status, const std::string& what);

}  // namespace gristmill::runtime::cuda
