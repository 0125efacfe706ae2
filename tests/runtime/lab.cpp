#include "lab.hpp"

#include <algorithm>
#include <cstdlib>

#include "base/error.hpp"
#include "runtime/bfloat16.hpp"
#include "runtime/int8.hpp"

namespace gristmill::runtime::test {

View Lab::place(DType dtype, int64_t rows, int64_t cols, const std::vector<double>& values) {
  Placed placed;
  const int64_t stride = cols + gap_;
  placed.before.assign(static_cast<size_t>(rows * stride), -77.0);
  for (int64_t r = 0; r < rows; ++r) {
    std::copy_n(values.begin() + r * cols, cols, placed.before.begin() + r * stride);
  }
  placed.buffer = Buffer(device_, dtype, rows, stride);
  write_real(device_, placed.buffer.view(), placed.before);
  placed.view = placed.buffer.view().col_range(0, cols);
  placed_.push_back(std::move(placed));
  return placed_.back().view;
}

std::vector<double> Lab::normal(int64_t rows, int64_t cols, double scale) {
  std::vector<double> values(static_cast<size_t>(rows * cols));
  for (double& value : values) {
    const float number = static_cast<float>(rng_.normal() * scale);
    value = static_cast<double>(halves_ ? widened(narrowed(number)) : number);
  }
  return values;
}

View Lab::real(int64_t rows, int64_t cols, double scale) {
  return place(device_.real(), rows, cols, normal(rows, cols, scale));
}

View Lab::computed(int64_t rows, int64_t cols, double scale) {
  const bool other = mixed_ && made_++ % 3 == 1;
  return place(other ? device_.real() : device_.compute(), rows, cols, normal(rows, cols, scale));
}

View Lab::as(View other, int64_t rows, int64_t cols) {
  return place(other.dtype, rows, cols, normal(rows, cols, 1));
}

View Lab::values(int64_t rows, int64_t cols, const std::vector<double>& values) {
  return place(device_.real(), rows, cols, values);
}

View Lab::ints(const std::vector<int32_t>& values) {
  Placed placed;
  placed.buffer = Buffer(device_, DType::i32, static_cast<int64_t>(values.size()), 1);
  placed.view = placed.buffer.view();
  write_ints(device_, placed.view, values);
  placed_.push_back(std::move(placed));
  return placed_.back().view;
}

View Lab::random_ints(int64_t rows, int32_t bound) {
  std::vector<int32_t> values(static_cast<size_t>(rows));
  for (int32_t& value : values) value = static_cast<int32_t>(rng_.below(static_cast<uint64_t>(bound)));
  return ints(values);
}

View Lab::int8(int64_t rows, int64_t cols, double scale, bool transposed) {
  const View weight = transposed ? real(cols, rows, scale) : real(rows, cols, scale);
  Placed placed;
  placed.buffer = Buffer(device_, DType::i8, 1, int8_bytes(rows, cols));
  placed.view = int8_matrix(placed.buffer.view(), 0, rows, cols);
  backend().quantize(placed.view, weight, transposed);
  placed_.push_back(std::move(placed));
  return placed_.back().view;
}

View Lab::doubles(int64_t rows, int64_t cols) {
  Placed placed;
  placed.buffer = Buffer(device_, DType::f64, rows, cols);
  placed.view = placed.buffer.view();
  placed_.push_back(std::move(placed));
  return placed_.back().view;
}

std::vector<double> Lab::read(View view) {
  if (view.dtype == DType::i32) {
    const auto ints = read_ints(device_, view);
    return {ints.begin(), ints.end()};
  }
  const auto owner =
      std::find_if(placed_.begin(), placed_.end(), [&](const Placed& p) { return p.view.data == view.data; });
  const auto all = read_real(device_, owner->buffer.view());
  const int64_t stride = owner->buffer.view().cols;
  std::vector<double> values;
  for (int64_t r = 0; r < view.rows; ++r) {
    values.insert(values.end(), all.begin() + r * stride, all.begin() + r * stride + view.cols);
  }
  return values;
}

bool Lab::gaps_are_whole() {
  for (const Placed& placed : placed_) {
    if (placed.before.empty()) continue;
    const auto now = read_real(device_, placed.buffer.view());
    const auto stride = static_cast<size_t>(placed.buffer.view().cols);
    for (size_t i = 0; i < now.size(); ++i) {
      if (i % stride >= static_cast<size_t>(placed.view.cols) && now[i] != placed.before[i]) return false;
    }
  }
  return true;
}

std::unique_ptr<Device> open_cpu_at(const std::string& isa, int threads, DType compute) {
  ::setenv("GRISTMILL_ISA", isa.c_str(), 1);
  std::unique_ptr<Device> device;
  try {
    device = open_device("cpu", threads, compute);
  } catch (...) {
    ::unsetenv("GRISTMILL_ISA");
    throw;
  }
  ::unsetenv("GRISTMILL_ISA");
  return device;
}

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const char* name : {"scalar", "avx2", "avx512", "avx512bf16"}) {
    try {
      open_cpu_at(name, 1);
      names.emplace_back(name);
    } catch (const Error&) {
      continue;  // this machine lacks it
    }
  }
  return names;
}

std::vector<std::pair<std::string, DType>> available_arithmetics() {
  std::vector<std::pair<std::string, DType>> all;
  for (const auto& isa : available_isas()) {
    all.emplace_back(isa, DType::f32);
    all.emplace_back(isa, DType::bf16);
  }
  return all;
}

}  // namespace gristmill::runtime::test
