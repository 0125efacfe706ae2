#pragma once

// A device owns memory and a stream of work. Kernels (Backend) enqueue on the stream; write() enqueues too;
// read() waits for all that was enqueued before it. Host code never follows a device pointer.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/tensor.hpp"

namespace gristmill::runtime {

class ArenaExchange;
class Backend;
class Collective;

/// A device's own way to those of other ranks.
struct DeviceLink {
  std::string library;  ///< that carries it; empty = there is no such way
  std::string place;    ///< the hardware's, on its machine: two ranks on one cannot use it; empty = any
  std::string absence;  ///< what is missing, where something could be there
};

/// Work that a device recorded once and can do again and again at little cost. Must not outlive the device.
class Recording {
 public:
  virtual ~Recording() = default;
  /// False once memory was given back that the work might use: it is to be recorded anew then.
  virtual bool is_current() const = 0;
  /// Enqueues all of it, on the same views. Error{internal} unless it is current.
  virtual void replay() = 0;
};

class Device {
 public:
  virtual ~Device() = default;

  virtual std::string name() const = 0;  ///< "cpu (avx512)", for people and the checkpoint record
  /// The type of parameters, activations and gradients here: f32, or f64 on the double-precision reference.
  virtual DType real() const = 0;
  /// The type of what stands between products: activations, their gradients, cached keys and values. bf16 in
  /// mixed precision (Micikevicius et al. 2018; sums, norms' statistics, the residual stream, parameters and
  /// their gradients stay real()), else real().
  virtual DType compute() const { return real(); }
  /// Floating-point operations a second of products at compute() precision that all threads together reach
  /// from registers, measured at the first call; 0 = not known.
  virtual double peak_flops() { return 0; }
  virtual Backend& backend() = 0;
  /// Bytes that allocate() can still give out; nothing where that is the host's memory (base/memory.hpp).
  virtual std::optional<uint64_t> free_memory() { return std::nullopt; }

  virtual DeviceLink link() { return {}; }
  /// Null where link() has no library. All ranks call it together.
  virtual std::unique_ptr<ArenaExchange> open_link(Collective& ranks);

  /// Zeroed memory, aligned to 64 bytes. Throws Error{device} that says how much was asked for when there is
  /// none.
  virtual void* allocate(size_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  /// What lay in these bytes is gone, and with it all that the backend derived from them (packed weights).
  /// For devices that wrap another one and own the memory themselves; release() does it for its own.
  virtual void forget(const void*, size_t) noexcept {}
  virtual void write(void* to, const void* host, size_t bytes) = 0;
  virtual void read(void* host, const void* from, size_t bytes) = 0;
  /// Waits until the stream is empty.
  virtual void synchronize() = 0;

  /// Records the backend's methods that `work` calls, without doing them; null where the device cannot, and
  /// `work` is not called then. It was done before with views of the same shapes, so that all working memory
  /// is there: asking for memory, read(), write() and synchronize() in it are Error{internal}.
  virtual std::unique_ptr<Recording> record([[maybe_unused]] const std::function<void()>& work) {
    return nullptr;
  }
};

/// Owned device memory of rows × cols elements.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Device& device, DType dtype, int64_t rows, int64_t cols);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;

  View view() const { return view_; }
  explicit operator bool() const { return static_cast<bool>(view_); }

 private:
  Device* device_ = nullptr;
  View view_;
};

/// Memory that grows on demand and is reused: asks for rows × cols, keeps what it has if that is enough.
class Scratch {
 public:
  explicit Scratch(Device& device) : device_(&device) {}
  /// A dense view of rows × cols; its content is undefined. Earlier views of this scratch become invalid if
  /// it grows.
  View get(DType dtype, int64_t rows, int64_t cols);
  /// Memory of somebody else's, which must outlive it: from now on what fits there is taken from there.
  void place(View region);

 private:
  Device* device_;
  View region_;
  Buffer buffer_;
};

// Host values in and out. `real` converts between double or float on the host and the device's own types
// (bf16 by way of float). Views must be dense.
void write_real(Device& device, View to, std::span<const float> values);
void write_real(Device& device, View to, std::span<const double> values);
void write_ints(Device& device, View to, std::span<const int32_t> values);
std::vector<double> read_real(Device& device, ConstView from);
std::vector<float> read_float(Device& device, ConstView from);
std::vector<int32_t> read_ints(Device& device, ConstView from);

/// Opens "auto", "cpu", "cuda[:N]" or "emu" (the compiled CUDA kernels on an emulated GPU that checks every
/// access; slow). auto takes a GPU if there is one, else the CPU; cuda without a number is the first, or the
/// one that belongs to this rank of several on a machine. What is not there is Error{device} that
/// says so in one line. GRISTMILL_ISA=scalar|avx2|avx512|avx512bf16 overrides what cpuid offers. `compute` is
/// f32 or bf16; bf16 runs everywhere, fast where the processor has the instruction.
std::unique_ptr<Device> open_device(const std::string& name, int threads, DType compute = DType::f32);

/// Whether two devices' names are of the same hardware: "cuda:0 (…)" and "cuda:1 (…)" may be.
bool same_hardware(const std::string& name, const std::string& other);

/// The oracle: plain C++ on one thread, templated on the scalar. `real` is f64 or f32.
std::unique_ptr<Device> open_reference_device(DType real);

/// Wraps a device so that the host cannot read or write its memory: a stray access faults. For tests.
std::unique_ptr<Device> guard_device(std::unique_ptr<Device> inner);

}  // namespace gristmill::runtime
