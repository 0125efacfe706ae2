#include "cuda/gpu.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "base/str.hpp"
#include "cuda/modules.hpp"

namespace gristmill::runtime::cuda {

namespace {

constexpr int64_t kMostColumns = 0x7fffffff, kMostOthers = 65535;
constexpr size_t kMostParameters = 1024;
constexpr int kLeastMajor = 8;  // compute capability: asynchronous copies and products in bf16

DevicePointer address_of(const void* memory) { return reinterpret_cast<DevicePointer>(memory); }

std::atomic<uint64_t> opened = 0;
thread_local uint64_t bound = 0;  // id of the GPU whose context this thread has

void check_shape(const char* kernel, const LaunchShape& shape) {
  const Dim3 &grid = shape.grid, &block = shape.block;
  const bool fits = grid.x <= kMostColumns && grid.y <= kMostOthers && grid.z <= kMostOthers && block.x > 0 &&
                    block.y > 0 && block.z > 0 && block.x * block.y * block.z <= 1024 && shape.shared >= 0;
  if (fits) return;
  fail(Kind::internal, "kernel ", kernel, ": no launch of ", grid.x, " x ", grid.y, " x ", grid.z,
       " blocks of ", block.x, " x ", block.y, " x ", block.z, " threads with ", shape.shared,
       " bytes of shared memory is possible");
}

}  // namespace

Gpu::Handles::Handles(const Driver& driver_, int ordinal) : driver(driver_) {
  int count = 0;
  check(driver, driver.device_count(&count), "counting the GPUs");
  if (ordinal < 0 || ordinal >= count) {
    fail(Kind::device, "there is no GPU ", ordinal, ": ", count, count == 1 ? " is" : " are",
         " there; use --device cpu or another number");
  }
  check(driver, driver.device_get(&device, ordinal), "opening the GPU");
  check(driver, driver.primary_context_retain(&context, device), "opening the GPU");
  try {
    check(driver, driver.context_set_current(context), "opening the GPU");
    check(driver, driver.stream_create(&stream, kStreamNonBlocking), "opening a stream of the GPU");
  } catch (...) {
    driver.primary_context_release(device);
    throw;
  }
}

Gpu::Handles::~Handles() {
  bound = 0;
  try {
    driver.context_set_current(context);
    driver.stream_destroy(stream);
    driver.primary_context_release(device);
  } catch (const Error&) {
    return;  // the GPU was lost before, and whoever waited for it knows
  }
}

Gpu::Gpu(const Driver& driver, int ordinal, bool pooled)
    : driver_(driver),
      id_(++opened),
      handles_(driver, ordinal),
      memory_(driver, handles_.stream, pooled),
      staging_(driver, handles_.stream) {
  bound = id_;
  multiprocessors_ = std::max(attribute(kMultiprocessors), 1);
  most_shared_ = attribute(kMostSharedOfBlock);
  const int major = attribute(kMajorVersion);
  if (major >= kLeastMajor) return;
  fail(Kind::device, hardware_name(), " has compute capability ", major, ".", attribute(kMinorVersion),
       ", and ", kLeastMajor, ".0 is the least; use --device cpu");
}

Gpu::~Gpu() {
  try {
    bind();
    driver_.stream_synchronize(handles_.stream);
  } catch (const Error&) {
    // as above
  }
  for (const auto& [name, loaded_module] : modules_) driver_.module_unload(loaded_module);
}

void Gpu::bind() {
  if (bound == id_) return;
  check(driver_, driver_.context_set_current(handles_.context), "turning to the GPU");
  bound = id_;
}

std::string Gpu::hardware_name() {
  std::array<char, 256> name = {};
  check(driver_, driver_.device_name(name.data(), static_cast<int>(name.size()) - 1, handles_.device),
        "asking for the GPU's name");
  return name.data();
}

std::string Gpu::place() {
  std::array<char, 64> place = {};
  if (driver_.device_place == nullptr) return "";
  check(driver_, driver_.device_place(place.data(), static_cast<int>(place.size()) - 1, handles_.device),
        "asking for the GPU's place");
  return place.data();
}

int Gpu::attribute(int number) {
  int value = 0;
  check(driver_, driver_.device_attribute(&value, number, handles_.device),
        "asking for the GPU's properties");
  return value;
}

size_t Gpu::free_bytes() {
  bind();
  size_t free = 0, total = 0;
  check(driver_, driver_.memory_info(&free, &total), "asking for the GPU's memory");
  return free + memory_.free_bytes();
}

void* Gpu::allocate(size_t bytes) {
  refuse_recording("memory is asked for");
  bind();
  return memory_.allocate(bytes);
}

void* Gpu::try_allocate(size_t bytes) {
  refuse_recording("memory is asked for");
  bind();
  return memory_.try_allocate(bytes);
}

void Gpu::release(void* memory) {
  if (memory == nullptr) return;
  if (recording_) {
    released_meanwhile_.push_back(memory);
    return;
  }
  bind();
  ++releases_;
  memory_.release(memory);
}

void Gpu::renew(void* memory, size_t bytes) {
  bind();
  memory_.renew(memory, bytes);
}

void Gpu::set_bytes(void* memory, unsigned char value, size_t bytes) {
  if (bytes == 0) return;
  bind();
  check(driver_, driver_.set_bytes_async(address_of(memory), value, bytes, stream()), "filling memory");
}

void Gpu::write(void* to, const void* host, size_t bytes) {
  refuse_recording("values of the host are written");
  bind();
  staging_.write(address_of(to), host, bytes);
}

void Gpu::read(void* host, const void* from, size_t bytes) {
  refuse_recording("values are read");
  bind();
  if (bytes > 0) {
    check(driver_, driver_.copy_to_host_async(host, address_of(from), bytes, stream()),
          "copying from the GPU");
  }
  synchronize();
}

void Gpu::copy(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  bind();
  check(driver_, driver_.copy_on_device_async(address_of(to), address_of(from), bytes, stream()),
        "copying on the GPU");
}

void Gpu::synchronize() {
  refuse_recording("somebody waits");
  bind();
  const Status status = driver_.stream_synchronize(stream());
  if (status == kSuccess) return;
  const std::string what =
      str("waiting for the GPU (the kernel started last is ", last_kernel_ == nullptr ? "none" : last_kernel_,
          "; --device emu or compute-sanitizer shows more)");
  check(driver_, status, what.c_str());
}

bool Gpu::can_record() const {
  return driver_.stream_begin_capture != nullptr && driver_.stream_end_capture != nullptr &&
         driver_.graph_destroy != nullptr && driver_.graph_instantiate != nullptr &&
         driver_.graph_exec_destroy != nullptr && driver_.graph_launch != nullptr;
}

void Gpu::refuse_recording(const char* what) const {
  if (recording_) {
    fail(Kind::internal, what,
         " while work of the GPU is recorded, which must be the same in each replay: do ",
         "it before, and the work once, so that all its memory is there");
  }
}

Graph Gpu::captured(const std::function<void()>& work) {
  Graph graph = nullptr;
  check(driver_, driver_.stream_begin_capture(stream(), kCaptureOfThread), "beginning to record");
  recording_ = true;
  const auto end = [&] {
    recording_ = false;
    return driver_.stream_end_capture(stream(), &graph);
  };
  try {
    work();
  } catch (...) {
    if (end() == kSuccess && graph != nullptr) driver_.graph_destroy(graph);
    throw;
  }
  check(driver_, end(), "recording");
  return graph;
}

GraphExec Gpu::record(const std::function<void()>& work) {
  refuse_recording("other work is recorded");
  bind();
  const auto give_back = [&] {
    for (void* memory : std::exchange(released_meanwhile_, {})) release(memory);
  };
  Graph graph = nullptr;
  try {
    graph = captured(work);
  } catch (...) {
    give_back();
    throw;
  }
  give_back();
  GraphExec executable = nullptr;
  const Status status = driver_.graph_instantiate(&executable, graph, 0);
  driver_.graph_destroy(graph);
  check(driver_, status, "recording");
  return executable;
}

void Gpu::replay(GraphExec recorded) {
  refuse_recording("other work is replayed");
  bind();
  last_kernel_ = "one that was recorded";
  check(driver_, driver_.graph_launch(recorded, stream()), "replaying");
}

void Gpu::destroy(GraphExec recorded) {
  bind();
  driver_.graph_exec_destroy(recorded);
}

Module Gpu::module(const std::string& name) {
  const auto known = modules_.find(name);
  if (known != modules_.end()) return known->second;
  for (const EmbeddedModule& embedded : embedded_modules()) {
    if (embedded.name != name) continue;
    Module opened_module = nullptr;
    check(driver_, driver_.module_load_data(&opened_module, embedded.fatbin),
          str("loading the kernels of ", name).c_str());
    return modules_[name] = opened_module;
  }
  fail(Kind::internal, "no module ", name, " is built in");
}

Gpu::Loaded& Gpu::loaded(const char* kernel) {
  const auto known = kernels_.find(kernel);
  if (known != kernels_.end()) return known->second;
  const std::string_view text(kernel);
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) fail(Kind::internal, "kernel ", kernel, ": expected module/kernel");
  Loaded fresh;
  const std::string name(text.substr(slash + 1));
  check(
      driver_,
      driver_.module_get_function(&fresh.function, module(std::string(text.substr(0, slash))), name.c_str()),
      kernel);
  if (driver_.function_parameter != nullptr) {
    size_t offset = 0, size = 0;
    while (fresh.sizes.size() < kMostParameters &&
           driver_.function_parameter(fresh.function, fresh.sizes.size(), &offset, &size) == kSuccess) {
      fresh.sizes.push_back(size);
    }
    fresh.sizes_known = true;
  }
  return kernels_.emplace(kernel, std::move(fresh)).first->second;
}

void Gpu::launch_with(Stream on, const char* kernel, const LaunchShape& shape, const void* const* values,
                      const size_t* sizes, size_t count) {
  if (shape.grid.x == 0 || shape.grid.y == 0 || shape.grid.z == 0) return;
  check_shape(kernel, shape);
  bind();
  Loaded& found = loaded(kernel);
  if (found.sizes_known && !std::equal(sizes, sizes + count, found.sizes.begin(), found.sizes.end())) {
    const size_t same = std::min(count, found.sizes.size());
    const auto differs =
        static_cast<size_t>(std::mismatch(sizes, sizes + same, found.sizes.begin()).first - sizes);
    fail(Kind::internal, "kernel ", kernel, " takes ", found.sizes.size(), " arguments, given ", count,
         differs < same ? str("; number ", differs, " has ", found.sizes[differs], " bytes there, ",
                              sizes[differs], " here")
                        : std::string());
  }
  if (shape.shared > most_shared_) {
    fail(Kind::device, kernel, " needs ", format_bytes(static_cast<uint64_t>(shape.shared)),
         " of shared memory a block, and this GPU has ", format_bytes(static_cast<uint64_t>(most_shared_)),
         ": use narrower heads or rows, --dtype bf16, or --device cpu");
  }
  if (shape.shared > found.shared_allowed) {
    check(driver_,
          driver_.function_set_attribute(found.function, kMaxDynamicShared, static_cast<int>(shape.shared)),
          kernel);
    found.shared_allowed = shape.shared;
  }
  last_kernel_ = kernel;
  const auto unsigned_of = [](int64_t size) { return static_cast<unsigned>(size); };
  check(driver_,
        driver_.launch_kernel(found.function, unsigned_of(shape.grid.x), unsigned_of(shape.grid.y),
                              unsigned_of(shape.grid.z), unsigned_of(shape.block.x),
                              unsigned_of(shape.block.y), unsigned_of(shape.block.z),
                              unsigned_of(shape.shared), on, const_cast<void**>(values), nullptr),
        kernel);
}

Workspace::~Workspace() {
  try {
    gpu_.release(memory_);
  } catch (const Error&) {
    return;  // the GPU was lost before, and whoever waited for it knows
  }
}

void* Workspace::bytes(size_t size) {
  if (size > size_ || memory_ == nullptr) {
    gpu_.release(memory_);
    memory_ = nullptr;
    size_ = 0;
    memory_ = gpu_.allocate(size);
    size_ = size;
  }
  gpu_.renew(memory_, size);
  return memory_;
}

}  // namespace gristmill::runtime::cuda
