// Methods of the seam that have no kernels yet. A method that gets some leaves this list.

#include "base/error.hpp"
#include "cuda/backend.hpp"

namespace gristmill::runtime::cuda {

namespace {

[[noreturn]] void absent(const char* method) {
  fail(Kind::internal, method, " is not built for CUDA yet; use --device cpu");
}

}  // namespace


}  // namespace gristmill::runtime::cuda
