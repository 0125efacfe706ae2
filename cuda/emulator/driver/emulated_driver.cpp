#include "emulator/driver/emulated_driver.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>

#include "base/error.hpp"
#include "emulator/driver/gpu.hpp"
#include "emulator/driver/use_table.hpp"

namespace gristmill::emulator {

namespace {

namespace cuda = runtime::cuda;
using cuda::DevicePointer;
using cuda::kSuccess;
using cuda::Status;

constexpr int kVersion = 13000, kEmulatedMultiprocessors = 4;

/// The GPUs that were added, by ordinal; one without a context has no state.
class Gpus {
 public:
  int add(const GpuOptions& options) {
    const std::scoped_lock lock(mutex_);
    slots_.push_back({options, nullptr, 0});
    return static_cast<int>(slots_.size()) - 1;
  }
  GpuOptions options(int ordinal) {
    const std::scoped_lock lock(mutex_);
    return at(ordinal).options;
  }
  int count() {
    const std::scoped_lock lock(mutex_);
    return static_cast<int>(slots_.size());
  }
  Gpu* retain(int ordinal) {
    const std::scoped_lock lock(mutex_);
    Slot& slot = at(ordinal);
    if (slot.holders++ == 0) slot.gpu = std::make_unique<Gpu>(slot.options);
    return slot.gpu.get();
  }
  void release(int ordinal) {
    const std::scoped_lock lock(mutex_);
    Slot& slot = at(ordinal);
    if (slot.holders > 0 && --slot.holders == 0) slot.gpu = nullptr;
  }

 private:
  struct Slot {
    GpuOptions options;
    std::unique_ptr<Gpu> gpu;
    int holders = 0;
  };
  Slot& at(int ordinal) {
    if (ordinal < 0 || static_cast<size_t>(ordinal) >= slots_.size()) {
      fail(Kind::device, "emulated GPU: there is no number ", ordinal);
    }
    return slots_[static_cast<size_t>(ordinal)];
  }
  std::mutex mutex_;
  std::vector<Slot> slots_;
};

Gpus& gpus() {
  static Gpus all;
  return all;
}

thread_local Gpu* current = nullptr;

Gpu& gpu() {
  if (current == nullptr) fail(Kind::device, "emulated GPU: this thread has no current context");
  return *current;
}

LazyStream* of(cuda::Stream stream) { return reinterpret_cast<LazyStream*>(stream); }
Moment* of(cuda::Event event) { return reinterpret_cast<Moment*>(event); }
Module* of(cuda::Module module) { return reinterpret_cast<Module*>(module); }
CapturedWork* of(cuda::Graph graph) { return reinterpret_cast<CapturedWork*>(graph); }
CapturedWork* of(cuda::GraphExec graph) { return reinterpret_cast<CapturedWork*>(graph); }
LoadedFunction* of(cuda::Function function) { return reinterpret_cast<LoadedFunction*>(function); }

void put_devices(cuda::Driver& driver) {
  driver.init = [](unsigned) { return kSuccess; };
  driver.driver_version = [](int* version) { return *version = kVersion, kSuccess; };
  driver.error_name = [](Status, const char** text) { return *text = "an error", kSuccess; };
  driver.error_string = [](Status, const char** text) { return *text = "of the emulated GPU", kSuccess; };
  driver.device_count = [](int* count) { return *count = gpus().count(), kSuccess; };
  driver.device_get = [](int* device, int ordinal) { return *device = ordinal, kSuccess; };
  driver.device_name = [](char* name, int length, int) {
    std::strncpy(name, "emulated GPU", static_cast<size_t>(length));
    return kSuccess;
  };
  driver.device_attribute = [](int* value, int attribute, int device) {
    const GpuOptions options = gpus().options(device);
    *value = attribute == cuda::kMultiprocessors     ? kEmulatedMultiprocessors
             : attribute == cuda::kMajorVersion      ? options.capability / 10
             : attribute == cuda::kMinorVersion      ? options.capability % 10
             : attribute == cuda::kMostSharedOfBlock ? options.most_shared
                                                     : 0;
    return kSuccess;
  };
  driver.primary_context_retain = [](cuda::Context* context, int device) {
    *context = reinterpret_cast<cuda::Context>(gpus().retain(device));
    return kSuccess;
  };
  driver.primary_context_release = [](int device) { return gpus().release(device), kSuccess; };
  driver.context_set_current = [](cuda::Context context) {
    current = reinterpret_cast<Gpu*>(context);
    return kSuccess;
  };
}

void put_memory(cuda::Driver& driver) {
  driver.memory_info = [](size_t* free, size_t* total) {
    *free = gpu().bytes_free();
    *total = *free + gpu().bytes_in_use();
    return kSuccess;
  };
  driver.memory_allocate = [](DevicePointer* pointer, size_t bytes) {
    *pointer = gpu().allocate(bytes);
    return *pointer == 0 ? cuda::kOutOfMemory : kSuccess;
  };
  driver.memory_free = [](DevicePointer pointer) { return gpu().release(pointer), kSuccess; };
  driver.host_allocate = [](void** pointer, size_t bytes, unsigned) {
    return *pointer = gpu().allocate_host(bytes), kSuccess;
  };
  driver.host_free = [](void* pointer) { return gpu().release_host(pointer), kSuccess; };
  driver.copy_to_device_async = [](DevicePointer to, const void* from, size_t bytes, cuda::Stream stream) {
    return gpu().copy_in(to, from, bytes, of(stream)), kSuccess;
  };
  driver.copy_to_host_async = [](void* to, DevicePointer from, size_t bytes, cuda::Stream stream) {
    return gpu().copy_out(to, from, bytes, of(stream)), kSuccess;
  };
  driver.copy_on_device_async = [](DevicePointer to, DevicePointer from, size_t bytes, cuda::Stream stream) {
    return gpu().copy(to, from, bytes, of(stream)), kSuccess;
  };
  driver.set_bytes_async = [](DevicePointer to, unsigned char value, size_t bytes, cuda::Stream stream) {
    return gpu().set_bytes(to, value, bytes, of(stream)), kSuccess;
  };
  driver.hide_async = [](DevicePointer begin, cuda::Stream stream) {
    return gpu().hide(begin, of(stream)), kSuccess;
  };
  driver.show_async = [](DevicePointer begin, size_t bytes, cuda::Stream stream) {
    return gpu().show(begin, bytes, of(stream)), kSuccess;
  };
}

void put_streams(cuda::Driver& driver) {
  driver.stream_create = [](cuda::Stream* stream, unsigned) {
    return *stream = reinterpret_cast<cuda::Stream>(gpu().create_stream()), kSuccess;
  };
  driver.stream_destroy = [](cuda::Stream stream) { return gpu().destroy_stream(of(stream)), kSuccess; };
  driver.stream_synchronize = [](cuda::Stream stream) { return gpu().synchronize(of(stream)), kSuccess; };
  driver.stream_wait_event = [](cuda::Stream stream, cuda::Event event, unsigned) {
    return gpu().wait(of(stream), of(event)), kSuccess;
  };
  driver.event_create = [](cuda::Event* event, unsigned) {
    return *event = reinterpret_cast<cuda::Event>(gpu().create_event()), kSuccess;
  };
  driver.event_destroy = [](cuda::Event event) { return gpu().destroy_event(of(event)), kSuccess; };
  driver.event_record = [](cuda::Event event, cuda::Stream stream) {
    return gpu().record(of(event), of(stream)), kSuccess;
  };
  driver.event_synchronize = [](cuda::Event event) { return gpu().synchronize(of(event)), kSuccess; };
}

void put_graphs(cuda::Driver& driver) {
  driver.stream_begin_capture = [](cuda::Stream stream, int) {
    return gpu().begin_capture(of(stream)), kSuccess;
  };
  driver.stream_end_capture = [](cuda::Stream stream, cuda::Graph* graph) {
    return *graph = reinterpret_cast<cuda::Graph>(gpu().end_capture(of(stream))), kSuccess;
  };
  driver.graph_destroy = [](cuda::Graph graph) { return gpu().destroy_captured(of(graph)), kSuccess; };
  driver.graph_instantiate = [](cuda::GraphExec* executable, cuda::Graph graph, unsigned long long) {
    return *executable = reinterpret_cast<cuda::GraphExec>(gpu().instantiate(of(graph))), kSuccess;
  };
  driver.graph_exec_destroy = [](cuda::GraphExec executable) {
    return gpu().destroy_captured(of(executable)), kSuccess;
  };
  driver.graph_launch = [](cuda::GraphExec executable, cuda::Stream stream) {
    return gpu().launch_captured(of(executable), of(stream)), kSuccess;
  };
}

Status parameter(cuda::Function function, size_t index, size_t* offset, size_t* size) {
  const auto& parameters = of(function)->kernel->parameters;
  if (index >= parameters.size()) return 1;  // as the driver ends a list: an invalid value
  *offset = parameters[index].offset;
  *size = parameters[index].size;
  return kSuccess;
}

Status launch(cuda::Function function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
              unsigned block_y, unsigned block_z, unsigned shared, cuda::Stream stream, void** parameters,
              void**) {
  gpu().launch(of(function), {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared, parameters,
               of(stream));
  return kSuccess;
}

void put_modules(cuda::Driver& driver) {
  driver.module_load_data = [](cuda::Module* module, const void* image) {
    return *module = reinterpret_cast<cuda::Module>(gpu().load(image)), kSuccess;
  };
  driver.module_unload = [](cuda::Module module) { return gpu().unload(of(module)), kSuccess; };
  driver.module_get_function = [](cuda::Function* function, cuda::Module module, const char* name) {
    return *function = reinterpret_cast<cuda::Function>(gpu().function(of(module), name)), kSuccess;
  };
  driver.function_set_attribute = [](cuda::Function function, int attribute, int value) {
    if (attribute == cuda::kMaxDynamicShared) gpu().allow_shared(of(function), static_cast<uint32_t>(value));
    return kSuccess;
  };
  driver.function_parameter = parameter;
  driver.launch_kernel = launch;
}

struct Uses {
  std::mutex mutex;
  std::map<std::string, KernelUse> by_kernel;
};
Uses& uses() {
  static Uses all;
  return all;
}

}  // namespace

const cuda::Driver& emulated_driver() {
  static const cuda::Driver table = [] {
    cuda::Driver driver;
    driver.library = "the emulator";
    put_devices(driver);
    put_memory(driver);
    put_streams(driver);
    put_graphs(driver);
    put_modules(driver);
    return driver;
  }();
  return table;
}

Gpu& current_gpu() { return gpu(); }

int add_gpu(const GpuOptions& options) { return gpus().add(options); }

namespace {
LaunchObserver& observer() {
  static LaunchObserver set;
  return set;
}
}  // namespace

void set_launch_observer(LaunchObserver wanted) { observer() = std::move(wanted); }

void show_launch(Memory& memory, const Kernel& kernel, const Launch& launch, const LaunchOptions& options) {
  if (observer()) observer()(memory, kernel, launch, options);
}

void note_use(const std::string& kernel, const Counters& counters) {
  const std::scoped_lock lock(uses().mutex);
  KernelUse& use = uses().by_kernel[kernel];
  ++use.launches;
  use.counters.add(counters);
}

std::map<std::string, KernelUse> kernel_use() {
  const std::scoped_lock lock(uses().mutex);
  return uses().by_kernel;
}

void clear_kernel_use() {
  const std::scoped_lock lock(uses().mutex);
  uses().by_kernel.clear();
}

}  // namespace gristmill::emulator
