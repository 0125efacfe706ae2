#include "cuda/cublas/cublas.hpp"

#include <dlfcn.h>

#include <map>
#include <memory>
#include <mutex>

#include "base/error.hpp"
#include "base/str.hpp"

namespace gristmill::runtime::cuda {

namespace {

constexpr const char* kLibraries[] = {"libcublasLt.so.13", "libcublasLt.so.12", nullptr};

/// Fills the table; on failure the name of the first function that is missing.
class Filling {
 public:
  Filling(void* library, Cublas& table) : library_(library) {
    find(table.status_string, "cublasLtGetStatusString");
    find(table.version, "cublasLtGetVersion");
    find(table.create, "cublasLtCreate");
    find(table.destroy, "cublasLtDestroy");
    find(table.product_create, "cublasLtMatmulDescCreate");
    find(table.product_set, "cublasLtMatmulDescSetAttribute");
    find(table.product_destroy, "cublasLtMatmulDescDestroy");
    find(table.layout_create, "cublasLtMatrixLayoutCreate");
    find(table.layout_destroy, "cublasLtMatrixLayoutDestroy");
    find(table.preference_create, "cublasLtMatmulPreferenceCreate");
    find(table.preference_set, "cublasLtMatmulPreferenceSetAttribute");
    find(table.preference_destroy, "cublasLtMatmulPreferenceDestroy");
    find(table.choose, "cublasLtMatmulAlgoGetHeuristic");
    find(table.multiply, "cublasLtMatmul");
  }
  const char* missing() const { return missing_; }

 private:
  template <class Pointer>
  void find(Pointer& function, const char* symbol) {
    function = reinterpret_cast<Pointer>(::dlsym(library_, symbol));
    if (function == nullptr && missing_ == nullptr) missing_ = symbol;
  }
  void* library_;
  const char* missing_ = nullptr;
};

/// The library's table, or null and what is wrong.
struct Loaded {
  std::unique_ptr<Cublas> table;
  std::string wrong;
};

Loaded load(const char* name) {
  void* library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);  // for the life of the process, as the driver
  if (library == nullptr) return {nullptr, ::dlerror()};
  auto table = std::make_unique<Cublas>();
  table->library = name;
  const Filling filling(library, *table);
  if (filling.missing() != nullptr) return {nullptr, str(name, " has no ", filling.missing())};
  return {std::move(table), {}};
}

}  // namespace

FoundCublas find_cublas(const char* const* libraries) {
  static std::mutex mutex;
  static std::map<std::string, Loaded> loaded;
  const std::scoped_lock lock(mutex);
  std::string reasons;
  for (; *libraries != nullptr; ++libraries) {
    const auto known = loaded.find(*libraries);
    const Loaded& now = known != loaded.end() ? known->second : (loaded[*libraries] = load(*libraries));
    if (now.table != nullptr) return {now.table.get(), {}};
    reasons += (reasons.empty() ? "" : "; ") + now.wrong;
  }
  return {nullptr, str("no cuBLASLt: ", reasons,
                       "; our own kernels make all products (NVIDIA's package libcublas of CUDA 13 or 12 has "
                       "it, and LD_LIBRARY_PATH may say where it lies)")};
}

FoundCublas find_cublas() { return find_cublas(kLibraries); }

void check(const Cublas& cublas, CublasStatus status, const std::string& what) {
  if (status == kCublasSuccess) return;
  const char* text = cublas.status_string(status);
  fail(Kind::device, what, " with cuBLASLt (", cublas.library,
       "): ", text == nullptr ? "an unknown status" : text, " (", status, ")");
}

}  // namespace gristmill::runtime::cuda
