#pragma once

// An emulated GPU behind the functions of the CUDA driver: memory, modules, and lazy streams. What is put on
// a stream runs only when somebody waits for it, at the latest possible time, so that a missing
// synchronisation shows as wrong values in every run and not by luck.
//
// A fault of a kernel is an Error{device} that names the kernel and the fault, thrown by whoever waits. As on
// hardware, the GPU is lost then: every later call but those that give things back says the same.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "emulator/driver/emulated_driver.hpp"
#include "emulator/launch.hpp"
#include "emulator/memory.hpp"
#include "emulator/module.hpp"

namespace gristmill::emulator {

/// Work in order; `done` of the `queued` items have run.
struct LazyStream {
  std::deque<std::function<void()>> items;
  uint64_t queued = 0, done = 0;
  bool is_captured = false;
  std::vector<std::function<void()>> captured;  ///< what came while it was
};

/// What was put on a stream while it was captured, in order: a graph, and what is made of it to be launched.
struct CapturedWork {
  std::vector<std::function<void()>> items;
};

/// A moment of a stream; before the first record none.
struct Moment {
  std::shared_ptr<LazyStream> stream;
  uint64_t position = 0;
};

struct LoadedFunction {
  const Kernel* kernel = nullptr;
  uint32_t dynamic_limit = 0;  ///< as Launch's
};

/// All methods are safe beside each other. Handles are the addresses of what they stand for; one that this
/// GPU did not give out is Error{device}.
class Gpu {
 public:
  explicit Gpu(GpuOptions options) : options_(options) {}

  /// 0 if there is no room.
  uint64_t allocate(uint64_t bytes);
  void release(uint64_t address);
  uint64_t bytes_in_use() const;
  uint64_t bytes_free() const;
  void* allocate_host(size_t bytes);
  void release_host(void* memory);

  LazyStream* create_stream();
  void destroy_stream(const LazyStream* stream);
  void synchronize(const LazyStream* stream);
  /// From here on what is put on the stream is kept and not done. Until end_capture()
  /// nobody may wait for any stream, record events or ask for memory.
  void begin_capture(const LazyStream* stream);
  CapturedWork* end_capture(const LazyStream* stream);
  CapturedWork* instantiate(const CapturedWork* graph);
  void destroy_captured(const CapturedWork* work);
  void launch_captured(const CapturedWork* work, const LazyStream* stream);
  Moment* create_event();
  void destroy_event(const Moment* event);
  void record(Moment* event, const LazyStream* stream);
  void wait(const LazyStream* stream, const Moment* event);
  void synchronize(const Moment* event);

  /// `from` must lie in memory of allocate_host(): it is read when the copy runs.
  void copy_in(uint64_t to, const void* from, uint64_t bytes, const LazyStream* stream);
  void copy_out(void* to, uint64_t from, uint64_t bytes, const LazyStream* stream);
  void copy(uint64_t to, uint64_t from, uint64_t bytes, const LazyStream* stream);
  void set_bytes(uint64_t to, uint8_t value, uint64_t bytes, const LazyStream* stream);
  void hide(uint64_t address, const LazyStream* stream);
  void show(uint64_t address, uint64_t bytes, const LazyStream* stream);

  Module* load(const void* fatbin);
  void unload(const Module* module);
  LoadedFunction* function(const Module* module, const std::string& name);
  void allow_shared(LoadedFunction* function, uint32_t bytes);
  void launch(const LoadedFunction* function, Dim3 grid, Dim3 block, uint32_t shared,
              const void* const* values, const LazyStream* stream);

  /// Puts work of a library beside the driver (products, exchanges) on a stream. What it throws is a fault.
  void enqueue_work(const LazyStream* stream, std::function<void(Memory&)> work);

 private:
  using Lock = std::scoped_lock<std::recursive_mutex>;
  void expect_alive() const;
  void expect_no_capture(const char* what) const;
  std::shared_ptr<LazyStream> known(const LazyStream* stream) const;
  Moment* known(const Moment* event) const;
  void enqueue(const LazyStream* stream, std::function<void()> item);
  void run_until(LazyStream& stream, uint64_t position);
  void run(const LoadedFunction& function, const Launch& launch);

  const GpuOptions options_;
  mutable std::recursive_mutex mutex_;
  std::string fault_;  ///< the error that this GPU was lost by
  Memory memory_;
  std::vector<std::unique_ptr<Module>> modules_;
  std::map<std::pair<const Module*, std::string>, LoadedFunction> functions_;
  std::vector<std::shared_ptr<LazyStream>> streams_;
  std::vector<std::unique_ptr<Moment>> events_;
  std::vector<std::unique_ptr<CapturedWork>> captured_;
  std::map<const std::byte*, std::vector<std::byte>> host_;
};

/// The GPU whose context the calling thread has; Error{device} if none.
Gpu& current_gpu();

}  // namespace gristmill::emulator
