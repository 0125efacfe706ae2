#pragma once

// One GPU as the host uses it: memory, one stream of work, and kernels that are found by name. Everything
// goes through the table of driver functions, so that it is the same for hardware and the emulator.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "cuda/driver/driver.hpp"
#include "cuda/memory_arena.hpp"
#include "cuda/staging.hpp"

namespace gristmill::runtime::cuda {

struct Dim3 {
  int64_t x = 1, y = 1, z = 1;
};

/// Blocks, threads of a block, bytes of dynamic shared memory. What grows with the data belongs into grid.x:
/// the others end at 65,535.
struct LaunchShape {
  Dim3 grid, block;
  int64_t shared = 0;
};

class Gpu {
 public:
  /// Error{device} where there is no GPU of that number. `pooled`: memory comes from an arena.
  Gpu(const Driver& driver, int ordinal, bool pooled = true);
  ~Gpu();
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  const Driver& driver() const { return driver_; }
  Stream stream() const { return handles_.stream; }
  std::string hardware_name();
  /// Where it is in its machine; empty where that is not known, or every GPU is another.
  std::string place();
  int multiprocessors() const { return multiprocessors_; }
  /// Bytes of shared memory that a block can have.
  int64_t most_shared() const { return most_shared_; }
  /// What the driver has free and what the arena has.
  size_t free_bytes();

  /// As MemoryArena's; null may be released. While work is recorded allocate() is Error{internal}.
  void* allocate(size_t bytes);
  void* try_allocate(size_t bytes);
  void release(void* memory);
  void renew(void* memory, size_t bytes);
  /// How often memory was given back: pointers from before may be void.
  uint64_t releases() const { return releases_; }
  void set_bytes(void* memory, unsigned char value, size_t bytes);
  void write(void* to, const void* host, size_t bytes);
  void read(void* host, const void* from, size_t bytes);
  void copy(void* to, const void* from, size_t bytes);
  void synchronize();

  bool can_record() const;
  bool is_recording() const { return recording_; }
  /// What `work` enqueues, as a graph that the caller destroys; it is not done. Memory that `work` gives back
  /// is given back at the end. write(), read() and synchronize() in it are Error{internal}.
  GraphExec record(const std::function<void()>& work);
  void replay(GraphExec recorded);
  void destroy(GraphExec recorded);

  /// Before another library puts `work` on the stream: makes the context current for the calling thread, and
  /// remembers the name for messages.
  void begin_work(const char* work) {
    bind();
    last_kernel_ = work;
  }

  /// Enqueues a kernel, "module/kernel": the `kernel` of module.cu. The arguments must have the very types of
  /// its parameters; number and sizes are checked (Error{internal}). A grid without blocks is no work.
  template <class... Arguments>
  void launch(const char* kernel, const LaunchShape& shape, const Arguments&... arguments) {
    launch_on(stream(), kernel, shape, arguments...);
  }
  /// The same on another stream of this GPU.
  template <class... Arguments>
  void launch_on(Stream on, const char* kernel, const LaunchShape& shape, const Arguments&... arguments) {
    static_assert((std::is_trivially_copyable_v<Arguments> && ...));
    const void* values[] = {&arguments..., nullptr};
    const size_t sizes[] = {sizeof(Arguments)..., 0};
    launch_with(on, kernel, shape, values, sizes, sizeof...(Arguments));
  }

 private:
  struct Loaded {
    Function function = nullptr;
    std::vector<size_t> sizes;  ///< of the parameters; empty where the driver does not tell
    bool sizes_known = false;
    int64_t shared_allowed = 0;
  };
  /// The stream and the context are the first to come and the last to go.
  struct Handles {
    Handles(const Driver& driver, int ordinal);
    ~Handles();
    Handles(const Handles&) = delete;
    Handles& operator=(const Handles&) = delete;
    const Driver& driver;
    int device = 0;
    Context context = nullptr;
    Stream stream = nullptr;
  };

  int attribute(int number);
  /// Makes the context current for the calling thread.
  void bind();
  void launch_with(Stream on, const char* kernel, const LaunchShape& shape, const void* const* values,
                   const size_t* sizes, size_t count);
  Loaded& loaded(const char* kernel);
  void refuse_recording(const char* what) const;
  Graph captured(const std::function<void()>& work);
  Module module(const std::string& name);

  const Driver& driver_;
  const uint64_t id_;  ///< of all GPUs that this process ever opened
  Handles handles_;
  int multiprocessors_ = 1;
  int64_t most_shared_ = 0;
  MemoryArena memory_;
  Staging staging_;
  std::map<std::string, Module> modules_;
  std::map<std::string, Loaded, std::less<>> kernels_;
  const char* last_kernel_ = nullptr;
  uint64_t releases_ = 0;
  bool recording_ = false;
  std::vector<void*> released_meanwhile_;  ///< while work was recorded
};

/// Memory of a backend that is reused from call to call and grows on demand. Work that uses it is on the
/// stream, in order, so that no two uses meet.
class Workspace {
 public:
  explicit Workspace(Gpu& gpu) : gpu_(gpu) {}
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  /// Room for `count` of T, with undefined content; what an earlier call gave out is void.
  template <class T>
  T* get(int64_t count) {
    return static_cast<T*>(bytes(static_cast<size_t>(count) * sizeof(T)));
  }

 private:
  void* bytes(size_t size);
  Gpu& gpu_;
  void* memory_ = nullptr;
  size_t size_ = 0;
};

}  // namespace gristmill::runtime::cuda
