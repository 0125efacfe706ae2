#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "cuda/backend.hpp"
#include "cuda/sample_arguments.hpp"

namespace gristmill::runtime::cuda {

namespace {

constexpr int64_t kLeastThreads = 64, kMostThreads = 512, kIdsOfThread = 8;
constexpr int64_t kBinsOfThread = 16;  // as in sampling.cu

SampleArguments arguments_of(const Sampling& args, int64_t vocabulary) {
  SampleArguments out = {};
  out.draws = args.temperature > 0;
  out.temperature = out.draws ? args.temperature : 1;
  const double fastest = std::numeric_limits<float>::max();
  out.inverse_temperature = static_cast<float>(std::min(1 / out.temperature, fastest));
  const auto bits = static_cast<int>(std::bit_width(static_cast<uint64_t>(vocabulary)));
  out.unit = std::ldexp(1.0F, 62 - bits);
  out.top_k = args.top_k;
  out.top_p = args.top_p;
  out.least = args.min_p > 0 ? out.temperature * std::log(std::min(args.min_p, 1.0))
                             : -std::numeric_limits<double>::infinity();
  return out;
}

}  // namespace

void CudaBackend::sample(View ids, View log_prob, ConstView logits, ConstView uniforms,
                         const Sampling& args) {
  checks::sample(ids, log_prob, logits, uniforms, types_);
  if (logits.rows == 0) return;
  const auto wanted = static_cast<uint64_t>(blocks_for(logits.cols, kIdsOfThread));
  const int64_t threads =
      std::clamp(static_cast<int64_t>(std::bit_ceil(wanted)), kLeastThreads, kMostThreads);
  const int64_t shared = threads * kBinsOfThread * static_cast<int64_t>(sizeof(uint64_t));
  gpu_.launch("sampling/sample", {{logits.rows}, {threads}, shared}, static_cast<int32_t*>(ids.data),
              ids.stride, rows_of(log_prob), rows_of(logits), rows_of(uniforms),
              arguments_of(args, logits.cols));
  written(ids, log_prob);
}

}  // namespace gristmill::runtime::cuda
