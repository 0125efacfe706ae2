#include "kernels.hpp"

namespace gristmill::test {
namespace {

double error(double got, double expected, double floor) {
  const double relative = std::fabs(got - expected) / (std::fabs(expected) + floor);
  return std::isnan(relative) ? 1e30 : relative;
}

void keep(Outcome& outcome, const Device& device, uint64_t address, uint64_t bytes) {
  const auto got = device.download<std::byte>(address, bytes);
  outcome.bytes.insert(outcome.bytes.end(), got.begin(), got.end());
}

}  // namespace

Outcome run_rmsnorm(const std::string& ptx, const emulator::LaunchOptions& options, int rows, int cols,
                    Damage damage) {
  Device device(ptx);
  device.options = options;
  const auto size = static_cast<size_t>(rows) * static_cast<size_t>(cols);
  const auto x = random_bf16(size, 1), weight = random_bf16(static_cast<size_t>(cols), 2);
  const uint64_t in = device.upload(x), gain = device.upload(weight),
                 scale = device.memory.allocate(static_cast<size_t>(rows) * 4);
  const uint64_t out = device.memory.allocate(size * 2 - static_cast<uint64_t>(damage.shorter));
  Outcome outcome;
  outcome.report = device.run("rmsnorm", {static_cast<uint32_t>(rows)}, {256},
                              in + static_cast<uint64_t>(damage.shifted), gain, out, scale, cols, 1e-5f);
  outcome.seconds = device.seconds;
  if (damage.shorter != 0) return outcome;
  const auto y = device.download<uint16_t>(out, size);
  for (size_t r = 0; r < static_cast<size_t>(rows); ++r) {
    double sum = 0;
    const size_t width = static_cast<size_t>(cols), row = r * width;
    for (size_t i = 0; i < width; ++i) sum += number(x[row + i]) * number(x[row + i]);
    const double factor = 1 / std::sqrt(sum / cols + 1e-5);
    for (size_t i = 0; i < width; ++i) {
      outcome.worst = std::max(
          outcome.worst, error(number(y[row + i]), number(x[row + i]) * factor * number(weight[i]), 1e-2));
    }
  }
  keep(outcome, device, out, size * 2);
  keep(outcome, device, scale, static_cast<size_t>(rows) * 4);
  return outcome;
}

Outcome run_gemm(const std::string& ptx, const emulator::LaunchOptions& options, int m, int n, int k,
                 Damage damage) {
  Device device(ptx);
  device.options = options;
  const auto rows = static_cast<size_t>(m), cols = static_cast<size_t>(n), depth = static_cast<size_t>(k);
  const auto a = random_bf16(rows * depth, 3), b = random_bf16(cols * depth, 4);
  const uint64_t left = device.upload(a), right = device.upload(b);
  const uint64_t out = device.memory.allocate(rows * cols * 4 - static_cast<uint64_t>(damage.shorter));
  Outcome outcome;
  outcome.report = device.run("gemm", {static_cast<uint32_t>(n / 64), static_cast<uint32_t>(m / 64)}, {128},
                              left + static_cast<uint64_t>(damage.shifted), right, out, m, n, k);
  outcome.seconds = device.seconds;
  if (damage.shorter != 0) return outcome;
  const auto c = device.download<float>(out, rows * cols);
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < cols; ++j) {
      double sum = 0;
      for (size_t q = 0; q < depth; ++q) sum += number(a[i * depth + q]) * number(b[j * depth + q]);
      outcome.worst = std::max(outcome.worst, error(c[i * cols + j], sum, 1));
    }
  }
  keep(outcome, device, out, rows * cols * 4);
  return outcome;
}

Outcome run_attention(const std::string& ptx, const emulator::LaunchOptions& options, int heads, int tokens,
                      Damage damage) {
  Device device(ptx);
  device.options = options;
  const size_t width = 64, count = static_cast<size_t>(tokens),
               size = static_cast<size_t>(heads) * count * width;
  const auto q = random_bf16(size, 5), k = random_bf16(size, 6), v = random_bf16(size, 7);
  const uint64_t query = device.upload(q), key = device.upload(k), value = device.upload(v);
  const uint64_t out = device.memory.allocate(size * 2 - static_cast<uint64_t>(damage.shorter));
  const uint64_t logsumexp = device.memory.allocate(static_cast<size_t>(heads) * count * 4);
  device.dynamic_shared = 3 * 64 * 72 * 2;
  Outcome outcome;
  outcome.report =
      device.run("attention", {static_cast<uint32_t>((tokens + 63) / 64), static_cast<uint32_t>(heads)},
                 {128}, query + static_cast<uint64_t>(damage.shifted), key, value, out, logsumexp, tokens,
                 0.125f * 1.44269504f);
  outcome.seconds = device.seconds;
  if (damage.shorter != 0) return outcome;
  const auto o = device.download<uint16_t>(out, size);
  std::vector<double> p(count);
  for (size_t h = 0; h < static_cast<size_t>(heads); ++h) {
    for (size_t i = 0; i < count; ++i) {
      const size_t row = (h * count + i) * width;
      double top = -1e300, sum = 0;
      for (size_t j = 0; j <= i; ++j) {
        p[j] = 0;
        for (size_t d = 0; d < width; ++d)
          p[j] += number(q[row + d]) * number(k[(h * count + j) * width + d]) / 8;
        top = std::max(top, p[j]);
      }
      for (size_t j = 0; j <= i; ++j) sum += p[j] = std::exp(p[j] - top);
      for (size_t d = 0; d < width; ++d) {
        double expected = 0;
        for (size_t j = 0; j <= i; ++j) expected += p[j] * number(v[(h * count + j) * width + d]) / sum;
        outcome.worst = std::max(outcome.worst, error(number(o[row + d]), expected, 0.1));
      }
    }
  }
  keep(outcome, device, out, size * 2);
  keep(outcome, device, logsumexp, static_cast<size_t>(heads) * count * 4);
  return outcome;
}

}  // namespace gristmill::test
