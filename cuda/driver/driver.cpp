#include "cuda/driver/driver.hpp"

#include <dlfcn.h>

#include <map>
#include <memory>
#include <mutex>

#include "base/error.hpp"

namespace gristmill::runtime::cuda {

namespace {

/// Looks functions up by their names in the library: those with a suffix are the versions that CUDA 12 and 13
/// give out under the plain name.
class Library {
 public:
  explicit Library(const char* name) : name_(name), handle_(::dlopen(name, RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) {
      fail(Kind::device, "no NVIDIA driver: ", ::dlerror(), "; install one, or use --device cpu");
    }
  }

  template <class Pointer>
  void find(Pointer& function, const char* symbol) const {
    find_if_there(function, symbol);
    if (function == nullptr) {
      fail(Kind::device, "the NVIDIA driver is too old: ", name_, " has no ", symbol,
           "; update it, or use --device cpu");
    }
  }
  template <class Pointer>
  void find_if_there(Pointer& function, const char* symbol) const {
    function = reinterpret_cast<Pointer>(::dlsym(handle_, symbol));
  }

 private:
  const char* name_;
  void* handle_;  // for the life of the process: a driver does not like to be unloaded
};

void find_devices(const Library& library, Driver& driver) {
  library.find(driver.init, "cuInit");
  library.find(driver.driver_version, "cuDriverGetVersion");
  library.find(driver.error_name, "cuGetErrorName");
  library.find(driver.error_string, "cuGetErrorString");
  library.find(driver.device_count, "cuDeviceGetCount");
  library.find(driver.device_get, "cuDeviceGet");
  library.find(driver.device_name, "cuDeviceGetName");
  library.find(driver.device_place, "cuDeviceGetPCIBusId");
  library.find(driver.device_attribute, "cuDeviceGetAttribute");
  library.find(driver.primary_context_retain, "cuDevicePrimaryCtxRetain");
  library.find(driver.primary_context_release, "cuDevicePrimaryCtxRelease_v2");
  library.find(driver.context_set_current, "cuCtxSetCurrent");
}

void find_memory(const Library& library, Driver& driver) {
  library.find(driver.memory_info, "cuMemGetInfo_v2");
  library.find(driver.memory_allocate, "cuMemAlloc_v2");
  library.find(driver.memory_free, "cuMemFree_v2");
  library.find(driver.host_allocate, "cuMemHostAlloc");
  library.find(driver.host_free, "cuMemFreeHost");
  library.find(driver.copy_to_device_async, "cuMemcpyHtoDAsync_v2");
  library.find(driver.copy_to_host_async, "cuMemcpyDtoHAsync_v2");
  library.find(driver.copy_on_device_async, "cuMemcpyDtoDAsync_v2");
  library.find(driver.set_bytes_async, "cuMemsetD8Async");
}

void find_work(const Library& library, Driver& driver) {
  library.find(driver.stream_create, "cuStreamCreate");
  library.find(driver.stream_destroy, "cuStreamDestroy_v2");
  library.find(driver.stream_synchronize, "cuStreamSynchronize");
  library.find(driver.stream_wait_event, "cuStreamWaitEvent");
  library.find(driver.event_create, "cuEventCreate");
  library.find(driver.event_destroy, "cuEventDestroy_v2");
  library.find(driver.event_record, "cuEventRecord");
  library.find(driver.event_synchronize, "cuEventSynchronize");
  library.find(driver.module_load_data, "cuModuleLoadData");
  library.find(driver.module_unload, "cuModuleUnload");
  library.find(driver.module_get_function, "cuModuleGetFunction");
  library.find(driver.function_set_attribute, "cuFuncSetAttribute");
  library.find_if_there(driver.function_parameter, "cuFuncGetParamInfo");
  library.find(driver.launch_kernel, "cuLaunchKernel");
}

void find_graphs(const Library& library, Driver& driver) {
  library.find_if_there(driver.stream_begin_capture, "cuStreamBeginCapture_v2");
  library.find_if_there(driver.stream_end_capture, "cuStreamEndCapture");
  library.find_if_there(driver.graph_destroy, "cuGraphDestroy");
  library.find_if_there(driver.graph_instantiate, "cuGraphInstantiateWithFlags");
  library.find_if_there(driver.graph_exec_destroy, "cuGraphExecDestroy");
  library.find_if_there(driver.graph_launch, "cuGraphLaunch");
}

std::unique_ptr<Driver> load(const char* name) {
  const Library library(name);
  auto driver = std::make_unique<Driver>();
  driver->library = name;
  find_devices(library, *driver);
  find_memory(library, *driver);
  find_work(library, *driver);
  find_graphs(library, *driver);
  check(*driver, driver->init(0), "starting the NVIDIA driver (is there a GPU? else use --device cpu)");
  return driver;
}

}  // namespace

const Driver& load_driver(const char* library) {
  static std::mutex mutex;
  static std::map<std::string, std::unique_ptr<Driver>> loaded;
  const std::scoped_lock lock(mutex);
  auto& driver = loaded[library];
  if (driver == nullptr) driver = load(library);
  return *driver;
}

void check(const Driver& driver, Status status, const char* what) {
  if (status == kSuccess) return;
  const char *name = nullptr, *text = nullptr;
  if (driver.error_name(status, &name) != kSuccess || name == nullptr) name = "an unknown error";
  if (driver.error_string(status, &text) != kSuccess || text == nullptr) text = "no more is known";
  fail(Kind::device, what, ": ", name, " (", status, "): ", text);
}

}  // namespace gristmill::runtime::cuda
