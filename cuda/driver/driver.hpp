#pragma once

// The CUDA driver API as a table of functions: filled from libcuda.so.1 when a GPU is wanted, or by the
// emulated GPU. Declared here by ourselves, so that neither a toolkit nor a driver is needed to build or to
// start, and so that one program chooses between CPU, GPU and emulator when it runs. Names, arguments and
// meanings are those of NVIDIA's "CUDA Driver API" reference, without the prefix; every function returns 0 or
// an error code.

#include <cstddef>
#include <cstdint>
#include <string>

namespace gristmill::runtime::cuda {

using Status = int;
using DevicePointer = uint64_t;
struct ContextObject;
struct StreamObject;
struct EventObject;
struct ModuleObject;
struct FunctionObject;
struct GraphObject;
struct GraphExecObject;
using Context = ContextObject*;
using Stream = StreamObject*;
using Event = EventObject*;
using Module = ModuleObject*;
using Function = FunctionObject*;
using Graph = GraphObject*;
using GraphExec = GraphExecObject*;

/// The error codes that we treat apart.
constexpr Status kSuccess = 0, kOutOfMemory = 2, kNoDevice = 100, kNotReady = 600;

// Attributes and flags, by the driver's numbers.
// Of a device; shared memory: bytes that a block can have when its kernel asks for them.
constexpr int kMultiprocessors = 16, kMajorVersion = 75, kMinorVersion = 76, kMostSharedOfBlock = 97;
constexpr int kMaxDynamicShared = 8;  // of a function
constexpr unsigned kStreamNonBlocking = 1, kEventWithoutTime = 2;
constexpr int kCaptureOfThread = 1;

struct Driver {
  std::string library;  ///< where the functions come from, for messages

  Status (*init)(unsigned flags) = nullptr;
  Status (*driver_version)(int* version) = nullptr;
  Status (*error_name)(Status error, const char** text) = nullptr;
  Status (*error_string)(Status error, const char** text) = nullptr;

  Status (*device_count)(int* count) = nullptr;
  Status (*device_get)(int* device, int ordinal) = nullptr;
  Status (*device_name)(char* name, int length, int device) = nullptr;
  Status (*device_place)(char* text, int length, int device) = nullptr;  ///< on the PCI bus
  Status (*device_attribute)(int* value, int attribute, int device) = nullptr;

  Status (*primary_context_retain)(Context* context, int device) = nullptr;
  Status (*primary_context_release)(int device) = nullptr;
  Status (*context_set_current)(Context context) = nullptr;

  Status (*memory_info)(size_t* free, size_t* total) = nullptr;
  Status (*memory_allocate)(DevicePointer* pointer, size_t bytes) = nullptr;
  Status (*memory_free)(DevicePointer pointer) = nullptr;
  Status (*host_allocate)(void** pointer, size_t bytes, unsigned flags) = nullptr;  ///< page-locked
  Status (*host_free)(void* pointer) = nullptr;
  Status (*copy_to_device_async)(DevicePointer to, const void* from, size_t bytes, Stream stream) = nullptr;
  Status (*copy_to_host_async)(void* to, DevicePointer from, size_t bytes, Stream stream) = nullptr;
  Status (*copy_on_device_async)(DevicePointer to, DevicePointer from, size_t bytes, Stream stream) = nullptr;
  Status (*set_bytes_async)(DevicePointer to, unsigned char value, size_t bytes, Stream stream) = nullptr;

  Status (*stream_create)(Stream* stream, unsigned flags) = nullptr;
  Status (*stream_destroy)(Stream stream) = nullptr;
  Status (*stream_synchronize)(Stream stream) = nullptr;
  Status (*stream_wait_event)(Stream stream, Event event, unsigned flags) = nullptr;
  Status (*event_create)(Event* event, unsigned flags) = nullptr;
  Status (*event_destroy)(Event event) = nullptr;
  Status (*event_record)(Event event, Stream stream) = nullptr;
  Status (*event_synchronize)(Event event) = nullptr;

  Status (*module_load_data)(Module* module, const void* image) = nullptr;
  Status (*module_unload)(Module module) = nullptr;
  Status (*module_get_function)(Function* function, Module module, const char* name) = nullptr;
  Status (*function_set_attribute)(Function function, int attribute, int value) = nullptr;
  /// Since CUDA 12.4; null with older drivers.
  Status (*function_parameter)(Function function, size_t index, size_t* offset, size_t* size) = nullptr;
  Status (*launch_kernel)(Function function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                          unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                          Stream stream, void** parameters, void** extra) = nullptr;

  /// Recording of what is put on a stream, without doing it, as a graph that is launched as a whole. Since
  /// CUDA 11.4; null with older drivers.
  Status (*stream_begin_capture)(Stream stream, int mode) = nullptr;
  Status (*stream_end_capture)(Stream stream, Graph* graph) = nullptr;
  Status (*graph_destroy)(Graph graph) = nullptr;
  Status (*graph_instantiate)(GraphExec* executable, Graph graph, unsigned long long flags) = nullptr;
  Status (*graph_exec_destroy)(GraphExec executable) = nullptr;
  Status (*graph_launch)(GraphExec executable, Stream stream) = nullptr;

  /// Not of the driver, and null there: what an allocator above tells the emulated GPU, in the order of the
  /// stream, so that it sees each access to memory that nobody holds. hide: nothing of the allocation that
  /// begins here may be touched any more. show: these bytes of hidden memory may be, and count as never
  /// written; in place of those that were shown from the same address on, if there are any.
  Status (*hide_async)(DevicePointer begin, Stream stream) = nullptr;
  Status (*show_async)(DevicePointer begin, size_t bytes, Stream stream) = nullptr;
};

/// The driver of `library`, loaded at the first call and never unloaded. Error{device} that says what is
/// missing.
const Driver& load_driver(const char* library = "libcuda.so.1");

/// Throws Error{device} that names the error and `what` was being done, unless `status` is kSuccess.
void check(const Driver& driver, Status status, const char* what);

}  // namespace gristmill::runtime::cuda
