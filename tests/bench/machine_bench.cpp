// What one thread of this machine can do, by its processor time: one JSON line with the operations a second
// of products in registers (fp32 and bf16), and the bytes a second that it reads from memory. Other programs'
// figures from another machine are scaled by them.

#include <time.h>

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <vector>

#include "base/json.hpp"
#include "runtime/device.hpp"

using namespace gristmill;
using namespace gristmill::runtime;

namespace {

double thread_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Loads one word of each line, in order, of more than a cache holds.
double bytes_read_per_second() {
  constexpr int64_t kBytes = int64_t{256} << 20, kLine = 64;
  const auto device = open_device("cpu", 1);
  const Buffer buffer(*device, DType::f32, 1, kBytes / 4);  // of the host, on huge pages, touched
  const auto* bytes = static_cast<const char*>(buffer.view().data);
  std::vector<double> rates;
  for (int run = 0; run < 7; ++run) {
    const double begin = thread_seconds();
    for (int64_t i = 0; i < kBytes; i += kLine) asm volatile("" : : "r"(bytes[i]));
    rates.push_back(static_cast<double>(kBytes) / (thread_seconds() - begin));
  }
  std::nth_element(rates.begin(), rates.begin() + 3, rates.end());
  return rates[3];
}

}  // namespace

int main() {
  Json line = Json::object();
  line["fp32_flops"] = open_device("cpu", 1)->peak_flops();
  line["bf16_flops"] = open_device("cpu", 1, DType::bf16)->peak_flops();
  line["read_bytes"] = bytes_read_per_second();
  std::cout << line.dump() << std::endl;
  return 0;
}
