#pragma once

// A bench for kernels: the same numbers on any device, and the results back as doubles.

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.hpp"
#include "runtime/backend.hpp"
#include "runtime/device.hpp"

namespace gristmill::runtime::test {

/// Owns the buffers of one run on one device. Inputs come from a counter, so that each device sees the same
/// ones.
class Lab {
 public:
  explicit Lab(Device& device) : device_(device), halves_(device.compute() == DType::bf16) {}

  Device& device() { return device_; }
  Backend& backend() { return device_.backend(); }
  /// All matrices made from here on lie in wider ones, with `gap` columns of other values beside them.
  void set_gap(int64_t gap) { gap_ = gap; }

  /// Numbers made from here on are bf16 values, whatever the type of their view: what a bf16 device is given.
  void set_halves(bool halves) { halves_ = halves; }
  /// Of the views of the compute type made from here on, some have the real type.
  void set_mixed(bool mixed) { mixed_ = mixed; }

  /// Standard normal numbers (rounded to f32) times `scale`, in the device's real type.
  View real(int64_t rows, int64_t cols, double scale = 1);
  /// The same in the device's compute type.
  View computed(int64_t rows, int64_t cols, double scale = 1);
  /// The same in the type of `other`.
  View as(View other, int64_t rows, int64_t cols);
  View values(int64_t rows, int64_t cols, const std::vector<double>& values);
  View ints(const std::vector<int32_t>& values);
  /// Integers in [0, bound).
  View random_ints(int64_t rows, int32_t bound);
  /// A weight in int8 of such numbers, made by the device from one that is stored cols × rows if
  /// `transposed`.
  View int8(int64_t rows, int64_t cols, double scale, bool transposed);
  View doubles(int64_t rows, int64_t cols);

  /// What a view made here holds now, row by row, without its gaps.
  std::vector<double> read(View view);
  /// True if every gap still holds what it held.
  bool gaps_are_whole();

 private:
  struct Placed {
    Buffer buffer;
    View view;
    std::vector<double> before;
  };
  View place(DType dtype, int64_t rows, int64_t cols, const std::vector<double>& values);
  std::vector<double> normal(int64_t rows, int64_t cols, double scale);
  Device& device_;
  bool halves_, mixed_ = false;
  int made_ = 0;  ///< views of the compute type
  Rng rng_{7, stream_of(RandomStream::test)};
  int64_t gap_ = 0;
  std::deque<Placed> placed_;
};

using Outputs = std::vector<std::vector<double>>;

/// The CPU device at an instruction set.
std::unique_ptr<Device> open_cpu_at(const std::string& isa, int threads, DType compute = DType::f32);
/// "scalar" and what else this machine executes.
std::vector<std::string> available_isas();
/// Each of them with each compute type.
std::vector<std::pair<std::string, DType>> available_arithmetics();

}  // namespace gristmill::runtime::test
