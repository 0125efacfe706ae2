#include "emulator/cublas/objects.hpp"

#include <cstring>

#include "base/error.hpp"

namespace gristmill::emulator::cublas {

namespace {

template <class Value>
cuda::CublasStatus store(Value& to, const void* from, size_t bytes) {
  if (from == nullptr || bytes != sizeof to) return cuda::kCublasInvalidValue;
  std::memcpy(&to, from, bytes);
  return cuda::kCublasSuccess;
}

}  // namespace

cuda::CublasStatus set(Product& product, cuda::ProductAttribute attribute, const void* value, size_t bytes) {
  using Attribute = cuda::ProductAttribute;
  switch (attribute) {
    case Attribute::transpose_a:
      return store(product.transpose_a, value, bytes);
    case Attribute::transpose_b:
      return store(product.transpose_b, value, bytes);
    case Attribute::epilogue:
      return store(product.epilogue, value, bytes);
    case Attribute::bias_pointer:
      return store(product.bias, value, bytes);
  }
  fail(Kind::device, "emulated cuBLASLt: no attribute ", static_cast<int>(attribute), " of a product");
}

cuda::CublasStatus set(Preference& preference, cuda::PreferenceAttribute attribute, const void* value,
                       size_t bytes) {
  using Attribute = cuda::PreferenceAttribute;
  switch (attribute) {
    case Attribute::most_workspace:
      return store(preference.most_workspace, value, bytes);
    case Attribute::reductions:
      return store(preference.reductions, value, bytes);
    case Attribute::alignment_a:
      return store(preference.align_a, value, bytes);
    case Attribute::alignment_b:
      return store(preference.align_b, value, bytes);
    case Attribute::alignment_c:
      return store(preference.align_c, value, bytes);
    case Attribute::alignment_d:
      return store(preference.align_d, value, bytes);
  }
  fail(Kind::device, "emulated cuBLASLt: no preference ", static_cast<int>(attribute));
}

}  // namespace gristmill::emulator::cublas
