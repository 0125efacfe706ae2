// Our declarations of the CUDA driver against those of the toolkit's header, where it is installed: numbers,
// and how its functions are called; and their names against the toolkit's stand-in for the driver.

#if __has_include(<cuda.h>)

#include <cuda.h>
#include <dlfcn.h>

#include <string>

#include "base/error.hpp"
#include "called_alike.hpp"
#include "cuda/driver/driver.hpp"
#include "support/catch.hpp"

namespace {

namespace ours = gristmill::runtime::cuda;
using gristmill::runtime::test::kCalledAlike;
using ours::Driver;

static_assert(ours::kSuccess == CUDA_SUCCESS && ours::kOutOfMemory == CUDA_ERROR_OUT_OF_MEMORY);
static_assert(ours::kNoDevice == CUDA_ERROR_NO_DEVICE && ours::kNotReady == CUDA_ERROR_NOT_READY);
static_assert(ours::kMultiprocessors == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
static_assert(ours::kMajorVersion == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
static_assert(ours::kMinorVersion == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
static_assert(ours::kMostSharedOfBlock == CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
static_assert(ours::kMaxDynamicShared == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
static_assert(ours::kStreamNonBlocking == CU_STREAM_NON_BLOCKING);
static_assert(ours::kEventWithoutTime == CU_EVENT_DISABLE_TIMING);
static_assert(ours::kCaptureOfThread == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);

// The header gives a plain name to the version that we look up with its suffix.
static_assert(kCalledAlike<decltype(Driver::init), decltype(&cuInit)>);
static_assert(kCalledAlike<decltype(Driver::driver_version), decltype(&cuDriverGetVersion)>);
static_assert(kCalledAlike<decltype(Driver::error_name), decltype(&cuGetErrorName)>);
static_assert(kCalledAlike<decltype(Driver::error_string), decltype(&cuGetErrorString)>);
static_assert(kCalledAlike<decltype(Driver::device_count), decltype(&cuDeviceGetCount)>);
static_assert(kCalledAlike<decltype(Driver::device_get), decltype(&cuDeviceGet)>);
static_assert(kCalledAlike<decltype(Driver::device_name), decltype(&cuDeviceGetName)>);
static_assert(kCalledAlike<decltype(Driver::device_place), decltype(&cuDeviceGetPCIBusId)>);
static_assert(kCalledAlike<decltype(Driver::device_attribute), decltype(&cuDeviceGetAttribute)>);
static_assert(kCalledAlike<decltype(Driver::primary_context_retain), decltype(&cuDevicePrimaryCtxRetain)>);
static_assert(kCalledAlike<decltype(Driver::primary_context_release), decltype(&cuDevicePrimaryCtxRelease)>);
static_assert(kCalledAlike<decltype(Driver::context_set_current), decltype(&cuCtxSetCurrent)>);
static_assert(kCalledAlike<decltype(Driver::memory_info), decltype(&cuMemGetInfo)>);
static_assert(kCalledAlike<decltype(Driver::memory_allocate), decltype(&cuMemAlloc)>);
static_assert(kCalledAlike<decltype(Driver::memory_free), decltype(&cuMemFree)>);
static_assert(kCalledAlike<decltype(Driver::host_allocate), decltype(&cuMemHostAlloc)>);
static_assert(kCalledAlike<decltype(Driver::host_free), decltype(&cuMemFreeHost)>);
static_assert(kCalledAlike<decltype(Driver::copy_to_device_async), decltype(&cuMemcpyHtoDAsync)>);
static_assert(kCalledAlike<decltype(Driver::copy_to_host_async), decltype(&cuMemcpyDtoHAsync)>);
static_assert(kCalledAlike<decltype(Driver::copy_on_device_async), decltype(&cuMemcpyDtoDAsync)>);
static_assert(kCalledAlike<decltype(Driver::set_bytes_async), decltype(&cuMemsetD8Async)>);
static_assert(kCalledAlike<decltype(Driver::stream_create), decltype(&cuStreamCreate)>);
static_assert(kCalledAlike<decltype(Driver::stream_destroy), decltype(&cuStreamDestroy)>);
static_assert(kCalledAlike<decltype(Driver::stream_synchronize), decltype(&cuStreamSynchronize)>);
static_assert(kCalledAlike<decltype(Driver::stream_wait_event), decltype(&cuStreamWaitEvent)>);
static_assert(kCalledAlike<decltype(Driver::event_create), decltype(&cuEventCreate)>);
static_assert(kCalledAlike<decltype(Driver::event_destroy), decltype(&cuEventDestroy)>);
static_assert(kCalledAlike<decltype(Driver::event_record), decltype(&cuEventRecord)>);
static_assert(kCalledAlike<decltype(Driver::event_synchronize), decltype(&cuEventSynchronize)>);
static_assert(kCalledAlike<decltype(Driver::module_load_data), decltype(&cuModuleLoadData)>);
static_assert(kCalledAlike<decltype(Driver::module_unload), decltype(&cuModuleUnload)>);
static_assert(kCalledAlike<decltype(Driver::module_get_function), decltype(&cuModuleGetFunction)>);
static_assert(kCalledAlike<decltype(Driver::function_set_attribute), decltype(&cuFuncSetAttribute)>);
static_assert(kCalledAlike<decltype(Driver::function_parameter), decltype(&cuFuncGetParamInfo)>);
static_assert(kCalledAlike<decltype(Driver::launch_kernel), decltype(&cuLaunchKernel)>);
static_assert(kCalledAlike<decltype(Driver::stream_begin_capture), decltype(&cuStreamBeginCapture)>);
static_assert(kCalledAlike<decltype(Driver::stream_end_capture), decltype(&cuStreamEndCapture)>);
static_assert(kCalledAlike<decltype(Driver::graph_destroy), decltype(&cuGraphDestroy)>);
static_assert(kCalledAlike<decltype(Driver::graph_instantiate), decltype(&cuGraphInstantiateWithFlags)>);
static_assert(kCalledAlike<decltype(Driver::graph_exec_destroy), decltype(&cuGraphExecDestroy)>);
static_assert(kCalledAlike<decltype(Driver::graph_launch), decltype(&cuGraphLaunch)>);
static_assert(!kCalledAlike<decltype(Driver::graph_launch), decltype(&cuGraphDestroy)>);

}  // namespace

TEST_CASE("our declarations of the driver are the toolkit's", "[cuda][emulator]") {
  SUCCEED("this file was compiled");  // all of it is checked by the compiler
}

TEST_CASE("the toolkit's stand-in for the driver has all functions that we look up", "[cuda][emulator]") {
  const std::string library = GRISTMILL_TOOLKIT "/lib64/stubs/libcuda.so";
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    WARN("[skipped] no " << library);
    return;
  }
  CHECK_THROWS_WITH(ours::load_driver(library.c_str()),  // not "too old"
                    gristmill::test::contains("starting the NVIDIA driver"));
  for (const char* optional :
       {"cuFuncGetParamInfo", "cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphDestroy",
        "cuGraphInstantiateWithFlags", "cuGraphExecDestroy", "cuGraphLaunch"}) {
    INFO(optional);
    CHECK(dlsym(handle, optional) != nullptr);
  }
}

#endif
