// Speed of products on one thread, by its processor time: one JSON line for each shape and precision, with
// the share of the peak that the device states. Where oneDNN is there, runs alternate with it, both with
// packed weights, bf16 results in bf16. `matmul-bench [REPEAT]`.

#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "base/rng.hpp"
#include "base/str.hpp"
#include "runtime/backend.hpp"
#include "runtime/bfloat16.hpp"
#include "runtime/device.hpp"

#ifdef GRISTMILL_DNNL
#include <dnnl.hpp>
#endif

using namespace gristmill;
using namespace gristmill::runtime;

namespace {

struct Shape {
  int64_t m, k, n;
};
// The projections of small transformers and their heads.
constexpr Shape kShapes[] = {{4096, 384, 1152},  {4096, 768, 2304},  {4096, 768, 3072}, {4096, 3072, 768},
                             {1024, 384, 32768}, {1024, 768, 32768}, {512, 256, 768}};

double thread_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

std::vector<float> normal_numbers(int64_t count) {
  Rng rng(1, stream_of(RandomStream::test));
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(rng.normal());
  return values;
}

/// Seconds of one call, over calls that together take a while.
double seconds_of(const std::function<void()>& call) {
  const double begin = thread_seconds();
  int calls = 0;
  double passed = 0;
  do {
    call();
    ++calls;
    passed = thread_seconds() - begin;
  } while (passed < 0.05);
  return passed / calls;
}

#ifdef GRISTMILL_DNNL
/// The same product by oneDNN, its weights in the layout that it likes best.
class Peer {
 public:
  Peer(const Shape& shape, bool narrow, const std::vector<float>& a, const std::vector<float>& b) {
    using Memory = dnnl::memory;
    const auto type = narrow ? Memory::data_type::bf16 : Memory::data_type::f32;
    const auto described = [&](int64_t rows, int64_t cols, Memory::format_tag tag) {
      return Memory::desc({rows, cols}, type, tag);
    };
    const auto rows_of_a = described(shape.m, shape.k, Memory::format_tag::ab);
    const auto columns_of_b = described(shape.k, shape.n, Memory::format_tag::ba);
    const auto result = described(shape.m, shape.n, Memory::format_tag::ab);
    const dnnl::matmul::primitive_desc wanted(
        dnnl::matmul::desc(rows_of_a, described(shape.k, shape.n, Memory::format_tag::any), result), engine_);
    product_ = dnnl::matmul(wanted);
    a_ = filled(rows_of_a, a, narrow);
    Memory plain = filled(columns_of_b, b, narrow);
    b_ = Memory(wanted.weights_desc(), engine_);
    dnnl::reorder(plain, b_).execute(stream_, plain, b_);
    out_ = Memory(result, engine_);
    stream_.wait();
  }
  void run() {
    product_.execute(stream_, {{DNNL_ARG_SRC, a_}, {DNNL_ARG_WEIGHTS, b_}, {DNNL_ARG_DST, out_}});
    stream_.wait();
  }

 private:
  dnnl::memory filled(const dnnl::memory::desc& desc, const std::vector<float>& values, bool narrow) {
    dnnl::memory memory(desc, engine_);
    if (narrow) {
      auto* to = static_cast<Bfloat16*>(memory.get_data_handle());
      std::transform(values.begin(), values.end(), to, narrowed);
    } else {
      std::copy(values.begin(), values.end(), static_cast<float*>(memory.get_data_handle()));
    }
    return memory;
  }
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  dnnl::matmul product_;
  dnnl::memory a_, b_, out_;
};
#endif

void measure(const Shape& shape, DType compute, int repeat) {
  const auto device = open_device("cpu", 1, compute);
  const auto a_values = normal_numbers(shape.m * shape.k), b_values = normal_numbers(shape.n * shape.k);
  const Buffer a(*device, compute, shape.m, shape.k), b(*device, DType::f32, shape.n, shape.k),
      out(*device, compute, shape.m, shape.n);
  write_real(*device, a.view(), std::span<const float>(a_values));
  write_real(*device, b.view(), std::span<const float>(b_values));
  const auto ours = [&](int64_t rows) {
    Matmul args;
    args.a = a.view().row_range(0, rows);
    args.b = b.view();
    args.out = out.view().row_range(0, rows);
    args.transpose_b = true;
    args.keep_b = true;
    device->backend().matmul(args);
  };
  ours(1);  // packs the weights
  std::vector<double> mine, theirs;
#ifdef GRISTMILL_DNNL
  Peer peer(shape, compute == DType::bf16, a_values, b_values);
  peer.run();
#endif
  for (int i = 0; i < repeat; ++i) {
    mine.push_back(seconds_of([&] { ours(shape.m); }));
#ifdef GRISTMILL_DNNL
    theirs.push_back(seconds_of([&] { peer.run(); }));
#endif
  }
  const double flops = 2 * static_cast<double>(shape.m * shape.k) * static_cast<double>(shape.n);
  const auto rounded = [](double value) {
    return static_cast<double>(static_cast<int64_t>(value * 1000)) / 1000;
  };
  Json line = Json::object();
  line["name"] =
      str("matmul.", compute == DType::bf16 ? "bf16" : "fp32", ".", shape.m, "x", shape.k, "x", shape.n);
  line["value"] = rounded(flops / median(mine) * 1e-9);
  line["unit"] = "GF/s";
  line["share_of_peak"] = rounded(flops / median(mine) / device->peak_flops());
  if (!theirs.empty()) {
    line["peer"] = "oneDNN";
    line["peer_value"] = rounded(flops / median(theirs) * 1e-9);
    line["ratio"] = rounded(median(theirs) / median(mine));
    line["bar"] = 0.95;
  }
  std::cout << line.dump() << std::endl;
}

}  // namespace

int main(int argc, char** argv) {
  const int repeat = argc > 1 ? std::max(1, std::atoi(argv[1])) : 5;
  for (const DType compute : {DType::f32, DType::bf16}) {
    for (const Shape& shape : kShapes) measure(shape, compute, repeat);
  }
  return 0;
}
