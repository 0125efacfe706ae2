#include "emulator/cublas/emulated_cublas.hpp"

#include <cstring>
#include <mutex>

#include "base/error.hpp"
#include "emulator/cublas/objects.hpp"
#include "emulator/cublas/product.hpp"
#include "emulator/driver/gpu.hpp"

namespace gristmill::emulator {

namespace {

using cublas::Choice;
using runtime::cuda::Cublas;
using runtime::cuda::CublasAlgorithm;
using runtime::cuda::CublasChoice;
using runtime::cuda::CublasHandle;
using runtime::cuda::CublasLayout;
using runtime::cuda::CublasPreference;
using runtime::cuda::CublasProduct;
using runtime::cuda::CublasStatus;
using runtime::cuda::kCublasInvalidValue;
using runtime::cuda::kCublasSuccess;
using runtime::cuda::PreferenceAttribute;
using runtime::cuda::ProductAttribute;

constexpr size_t kVersion = 130000;

struct Objects {
  cublas::Alive<cublas::Handle> handles;
  cublas::Alive<cublas::Product> products;
  cublas::Alive<cublas::Layout> layouts;
  cublas::Alive<cublas::Preference> preferences;
  std::mutex mutex;
  CublasUse use;
};
Objects& objects() {
  static Objects all;
  return all;
}

template <class Object>
Object& alive(cublas::Alive<Object>& all, const void* handle, const char* what) {
  Object* found = all.find(handle);
  if (found == nullptr) fail(Kind::device, "emulated cuBLASLt: no such ", what, ", or it was destroyed");
  return *found;
}

CublasStatus removed(bool was_there) { return was_there ? kCublasSuccess : kCublasInvalidValue; }

const char* status_string(CublasStatus status) {
  switch (status) {
    case kCublasSuccess:
      return "the requested functionality is there";
    case kCublasInvalidValue:
      return "an unsupported value or parameter was passed to the function";
    default:
      return "the requested functionality is not supported";
  }
}

cublas::Problem problem_of(CublasProduct product, CublasLayout a, CublasLayout b, CublasLayout c,
                           CublasLayout d) {
  Objects& all = objects();
  return {alive(all.products, product, "description of a product"), alive(all.layouts, a, "description of A"),
          alive(all.layouts, b, "description of B"), alive(all.layouts, c, "description of C"),
          alive(all.layouts, d, "description of D")};
}

CublasStatus choose(CublasHandle handle, CublasProduct product, CublasLayout a, CublasLayout b,
                    CublasLayout c, CublasLayout d, CublasPreference preference, int wanted,
                    CublasChoice* choices, int* found) {
  Objects& all = objects();
  alive(all.handles, handle, "handle");
  const auto& wish = alive(all.preferences, preference, "preference");
  const cublas::Problem problem = problem_of(product, a, b, c, d);
  if (wanted < 1 || choices == nullptr || found == nullptr) return kCublasInvalidValue;
  *found = 0;
  const CublasStatus status = status_of(problem);
  if (status != kCublasSuccess) return status;
  const Choice choice = choice_of(problem, wish);
  std::memcpy(&choices->algorithm, &choice, sizeof choice);
  choices->workspace = choice.workspace;
  choices->state = kCublasSuccess;
  choices->waves = 1;
  *found = 1;
  const std::scoped_lock lock(all.mutex);
  ++all.use.searches;
  return kCublasSuccess;
}

void note(const cublas::Call& call) {
  const std::scoped_lock lock(objects().mutex);
  CublasUse& use = objects().use;
  ++use.products;
  if (call.problem.product.epilogue == runtime::cuda::kEpilogueBias) ++use.biases;
  if (call.beta != 0) ++use.sums;
}

CublasStatus multiply(CublasHandle handle, CublasProduct product, const void* alpha, const void* a,
                      CublasLayout layout_a, const void* b, CublasLayout layout_b, const void* beta,
                      const void* c, CublasLayout layout_c, void* d, CublasLayout layout_d,
                      const CublasAlgorithm* algorithm, void* workspace, size_t workspace_bytes,
                      runtime::cuda::Stream stream) {
  alive(objects().handles, handle, "handle");
  cublas::Call call;
  call.problem = problem_of(product, layout_a, layout_b, layout_c, layout_d);
  if (alpha == nullptr || beta == nullptr || algorithm == nullptr) return kCublasInvalidValue;
  const CublasStatus status = status_of(call.problem);
  if (status != kCublasSuccess) return status;
  std::memcpy(&call.alpha, alpha, sizeof call.alpha);
  std::memcpy(&call.beta, beta, sizeof call.beta);
  const auto address = [](const void* pointer) { return reinterpret_cast<uint64_t>(pointer); };
  call.a = address(a);
  call.b = address(b);
  call.c = address(c);
  call.d = address(d);
  call.workspace = address(workspace);
  Choice choice;
  std::memcpy(&choice, algorithm, sizeof choice);
  expect_as_chosen(call, choice);
  if (workspace_bytes < choice.workspace) return kCublasInvalidValue;
  call.workspace_bytes = choice.workspace;
  current_gpu().enqueue_work(reinterpret_cast<const LazyStream*>(stream), [call](Memory& memory) {
    cublas::run(call, memory);
    note(call);
  });
  return kCublasSuccess;
}

void put_descriptions(Cublas& table) {
  table.product_create = [](CublasProduct* product, int compute, int scale) {
    cublas::Product made;
    made.compute = compute;
    made.scale = scale;
    *product = reinterpret_cast<CublasProduct>(objects().products.add(made));
    return kCublasSuccess;
  };
  table.product_set = [](CublasProduct product, ProductAttribute attribute, const void* value, size_t bytes) {
    return set(alive(objects().products, product, "description of a product"), attribute, value, bytes);
  };
  table.product_destroy = [](CublasProduct product) { return removed(objects().products.remove(product)); };
  table.layout_create = [](CublasLayout* layout, int type, uint64_t rows, uint64_t cols, int64_t pitch) {
    const cublas::Layout made{type, static_cast<int64_t>(rows), static_cast<int64_t>(cols), pitch};
    *layout = reinterpret_cast<CublasLayout>(objects().layouts.add(made));
    return kCublasSuccess;
  };
  table.layout_destroy = [](CublasLayout layout) { return removed(objects().layouts.remove(layout)); };
  table.preference_create = [](CublasPreference* preference) {
    *preference = reinterpret_cast<CublasPreference>(objects().preferences.add({}));
    return kCublasSuccess;
  };
  table.preference_set = [](CublasPreference preference, PreferenceAttribute attribute, const void* value,
                            size_t bytes) {
    return set(alive(objects().preferences, preference, "preference"), attribute, value, bytes);
  };
  table.preference_destroy = [](CublasPreference preference) {
    return removed(objects().preferences.remove(preference));
  };
}

}  // namespace

const Cublas& emulated_cublas() {
  static const Cublas table = [] {
    Cublas made;
    made.library = "the emulator";
    made.status_string = status_string;
    made.version = [] { return kVersion; };
    made.create = [](CublasHandle* handle) {
      current_gpu();  // it belongs to the context that is current
      *handle = reinterpret_cast<CublasHandle>(objects().handles.add({}));
      return kCublasSuccess;
    };
    made.destroy = [](CublasHandle handle) { return removed(objects().handles.remove(handle)); };
    put_descriptions(made);
    made.choose = choose;
    made.multiply = multiply;
    return made;
  }();
  return table;
}

CublasUse cublas_use() {
  const std::scoped_lock lock(objects().mutex);
  return objects().use;
}

}  // namespace gristmill::emulator
