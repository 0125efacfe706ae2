#include "cuda/nccl/nccl.hpp"

#include <dlfcn.h>

#include <map>
#include <memory>
#include <mutex>

#include "base/error.hpp"
#include "base/str.hpp"

namespace gristmill::runtime::cuda {

namespace {

/// Collects the functions of a library, and the first name that it lacks.
struct Symbols {
  void* handle = nullptr;
  std::string missing;

  template <class Pointer>
  void find(Pointer& function, const char* symbol) {
    find_if_there(function, symbol);
    if (function == nullptr && missing.empty()) missing = symbol;
  }
  template <class Pointer>
  void find_if_there(Pointer& function, const char* symbol) const {
    function = reinterpret_cast<Pointer>(::dlsym(handle, symbol));
  }
};

struct Loaded {
  Nccl functions;
  std::string absence;
};

Loaded load(const char* name) {
  Loaded loaded;
  Symbols symbols{::dlopen(name, RTLD_NOW | RTLD_LOCAL), {}};  // open for the life of the process
  if (symbols.handle == nullptr) {
    loaded.absence = str("NCCL is not here: ", ::dlerror(), "; install the package libnccl2");
    return loaded;
  }
  Nccl& nccl = loaded.functions;
  nccl.library = name;
  symbols.find(nccl.version, "ncclGetVersion");
  symbols.find(nccl.error_string, "ncclGetErrorString");
  symbols.find_if_there(nccl.last_error, "ncclGetLastError");
  symbols.find(nccl.unique_id, "ncclGetUniqueId");
  symbols.find(nccl.init_rank, "ncclCommInitRank");
  symbols.find(nccl.destroy, "ncclCommDestroy");
  symbols.find(nccl.abort, "ncclCommAbort");
  symbols.find(nccl.async_error, "ncclCommGetAsyncError");
  symbols.find(nccl.group_start, "ncclGroupStart");
  symbols.find(nccl.group_end, "ncclGroupEnd");
  symbols.find(nccl.send, "ncclSend");
  symbols.find(nccl.receive, "ncclRecv");
  symbols.find(nccl.reduce_scatter, "ncclReduceScatter");
  symbols.find(nccl.reduce, "ncclReduce");
  symbols.find(nccl.all_gather, "ncclAllGather");
  symbols.find(nccl.broadcast, "ncclBroadcast");
  if (!symbols.missing.empty())
    loaded.absence =
        str("NCCL is too old: ", name, " has no ", symbols.missing, "; install NCCL 2.7 or later");
  return loaded;
}

}  // namespace

FoundNccl find_nccl(const char* library) {
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<Loaded>> tried;
  const std::scoped_lock lock(mutex);
  auto& loaded = tried[library];
  if (loaded == nullptr) loaded = std::make_unique<Loaded>(load(library));
  return {loaded->absence.empty() ? &loaded->functions : nullptr, loaded->absence};
}

void check(const Nccl& nccl, NcclResult result, const std::string& what) {
  if (result == kNcclSuccess) return;
  const char* text = nccl.error_string(result);
  const char* more = nccl.last_error == nullptr ? nullptr : nccl.last_error(nullptr);
  std::string detail = more == nullptr ? "" : more;
  while (!detail.empty() && detail.back() == '\n') detail.pop_back();
  for (char& c : detail) c = c == '\n' ? ' ' : c;
  fail(Kind::device, what, ": NCCL says ", text == nullptr ? "an unknown error" : text, " (", result, ")",
       detail.empty() ? "" : ": ", detail);
}

}  // namespace gristmill::runtime::cuda
