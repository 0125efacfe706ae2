#pragma once

// Norms over rows, and the element-wise kernels.

#include "runtime/cpu/kernels.hpp"
#include "runtime/cpu/simd.hpp"

namespace gristmill::runtime::cpu {
namespace {

GRISTMILL_INLINE void clear(float* sums, int64_t size) {
  if (sums == nullptr) return;
  for (int64_t i = 0; i < size; ++i) sums[i] = 0;
}

void widen(float* out, const uint16_t* in, int64_t size) {
  each_vector(size, [&](int64_t i, auto get, auto put) { put(out + i, get(in + i)); });
}

void narrow(uint16_t* out, const float* in, int64_t size) {
  each_vector(size, [&](int64_t i, auto get, auto put) { put(out + i, get(in + i)); });
}

void rmsnorm(const NormRows& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* in = args.in + r * args.in_stride;
    float* out = args.out + r * args.out_stride;
    Vec squares{};
    each_vector(args.cols,
                [&](int64_t i, auto get, auto) { squares = fma(get(in + i), get(in + i), squares); });
    const float mean = sum_lanes(squares) / static_cast<float>(args.cols);
    const float rstd = 1.0F / __builtin_sqrtf(mean + static_cast<float>(args.eps));
    args.moments[r * args.moments_stride] = rstd;
    each_vector(args.cols, [&](int64_t i, auto get, auto put) {
      put(out + i, get(in + i) * splat(rstd) * get(args.weight + i));
    });
  }
}

void rmsnorm_backward(const NormRows& args) {
  clear(args.weight_sums, args.cols);
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* in = args.in + r * args.in_stride;
    const float* dout = args.dout + r * args.dout_stride;
    float* din = args.out + r * args.out_stride;
    const float rstd = args.moments[r * args.moments_stride];
    Vec products{};
    each_vector(args.cols, [&](int64_t i, auto get, auto) {
      products = fma(get(dout + i) * get(args.weight + i), get(in + i), products);
    });
    const Vec mean = splat(sum_lanes(products) * rstd / static_cast<float>(args.cols));
    each_vector(args.cols, [&](int64_t i, auto get, auto put) {
      const Vec unit = get(in + i) * splat(rstd), d = get(dout + i);
      put(args.weight_sums + i, fma(d, unit, get(args.weight_sums + i)));
      Vec gradient = splat(rstd) * (d * get(args.weight + i) - unit * mean);
      if (args.accumulate) gradient = get(din + i) + gradient;
      put(din + i, gradient);
    });
  }
}

void layernorm(const NormRows& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* in = args.in + r * args.in_stride;
    float* out = args.out + r * args.out_stride;
    Vec sum{};
    each_vector(args.cols, [&](int64_t i, auto get, auto) { sum += get(in + i); });
    const float mean = sum_lanes(sum) / static_cast<float>(args.cols);
    Vec squares{};
    // Lanes behind the end would count as -mean: they are put out of the sum by storing and reading back the
    // part.
    each_vector(args.cols, [&](int64_t i, auto get, auto put) {
      float centred[kLanes] = {};
      put(centred, get(in + i) - splat(mean));
      squares = fma(load(centred), load(centred), squares);
    });
    const float variance = sum_lanes(squares) / static_cast<float>(args.cols);
    const float rstd = 1.0F / __builtin_sqrtf(variance + static_cast<float>(args.eps));
    args.moments[r * args.moments_stride] = mean;
    args.moments[r * args.moments_stride + 1] = rstd;
    each_vector(args.cols, [&](int64_t i, auto get, auto put) {
      put(out + i, fma((get(in + i) - splat(mean)) * splat(rstd), get(args.weight + i), get(args.bias + i)));
    });
  }
}

void layernorm_backward(const NormRows& args) {
  clear(args.weight_sums, args.cols);
  clear(args.bias_sums, args.cols);
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* in = args.in + r * args.in_stride;
    const float* dout = args.dout + r * args.dout_stride;
    float* din = args.out + r * args.out_stride;
    const Vec mean = splat(args.moments[r * args.moments_stride]);
    const Vec rstd = splat(args.moments[r * args.moments_stride + 1]);
    Vec sum{}, products{};
    each_vector(args.cols, [&](int64_t i, auto get, auto) {
      const Vec g = get(dout + i) * get(args.weight + i);
      sum += g;
      products = fma(g, (get(in + i) - mean) * rstd, products);
    });
    const Vec mean_g = splat(sum_lanes(sum) / static_cast<float>(args.cols));
    const Vec mean_gx = splat(sum_lanes(products) / static_cast<float>(args.cols));
    each_vector(args.cols, [&](int64_t i, auto get, auto put) {
      const Vec unit = (get(in + i) - mean) * rstd, d = get(dout + i);
      put(args.weight_sums + i, fma(d, unit, get(args.weight_sums + i)));
      put(args.bias_sums + i, get(args.bias_sums + i) + d);
      Vec gradient = rstd * (d * get(args.weight + i) - mean_g - unit * mean_gx);
      if (args.accumulate) gradient = get(din + i) + gradient;
      put(din + i, gradient);
    });
  }
}

void rotary(float* x, const float* cosines, const float* sines, float sign, int64_t heads, int64_t head_dim) {
  const int64_t half = head_dim / 2;
  for (int64_t h = 0; h < heads; ++h, x += head_dim) {
    each_vector(half, [&](int64_t i, auto get, auto put) {
      const Vec first = get(x + i), second = get(x + half + i), cosine = get(cosines + i);
      const Vec sine = get(sines + i) * splat(sign);
      put(x + i, first * cosine - second * sine);
      put(x + half + i, second * cosine + first * sine);
    });
  }
}

void axpy(float* out, float scale, const float* in, int64_t size) {
  each_vector(size, [&](int64_t i, auto get, auto put) {
    put(out + i, fma(splat(scale), get(in + i), get(out + i)));
  });
}

double sum_of_squares(const float* in, int64_t size) {
  double lanes[16] = {};
  int64_t i = 0;
  for (; i + 16 <= size; i += 16) {
    for (int64_t lane = 0; lane < 16; ++lane) {
      lanes[lane] += static_cast<double>(in[i + lane]) * static_cast<double>(in[i + lane]);
    }
  }
  for (; i < size; ++i) lanes[i % 16] += static_cast<double>(in[i]) * static_cast<double>(in[i]);
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

/// finish(i, value) is what is stored of the i-th vector.
template <class Element, class Finish>
GRISTMILL_INLINE void adamw_by(Element* parameter, float* m, float* v, const float* gradient,
                               const AdamWFactors& f, int64_t size, Finish finish) {
  each_vector(size, [&](int64_t i, auto get, auto put) {
    const Vec g = get(gradient + i) * splat(f.scale), p = get(parameter + i);
    const Vec first = fma(splat(f.beta1), get(m + i), splat(f.rest1) * g);
    const Vec second = fma(splat(f.beta2), get(v + i), splat(f.rest2) * g * g);
    put(m + i, first);
    put(v + i, second);
    const Vec update = splat(f.step) * first / fma(square_root(second), splat(f.unbias), splat(f.epsilon));
    put(parameter + i, finish(i, p - fma(splat(f.decay), p, update)));
  });
}

void adamw(float* parameter, float* m, float* v, const float* gradient, const AdamWFactors& f, int64_t size) {
  adamw_by(parameter, m, v, gradient, f, size, [](int64_t, Vec value) { return value; });
}

/// 16 random bits in each lane, of elements numbered on from `element` (runtime/rounding.hpp).
GRISTMILL_INLINE BitVec rounding_bits(uint32_t key, uint32_t key_too, uint32_t element) {
  BitVec x{};
  for (int64_t lane = 0; lane < kLanes; ++lane) x[lane] = static_cast<uint32_t>(lane);
  x = (x + element) ^ key;
  x ^= x >> 16;
  x *= kRoundingFirst;
  x = (x ^ (x >> 15)) + key_too;
  x ^= x >> 16;
  x *= kRoundingFirst;
  x ^= x >> 15;
  return (x * kRoundingSecond) >> 16;
}

void adamw_half(uint16_t* parameter, float* m, float* v, const float* gradient, const AdamWFactors& f,
                const Rounding& rounding, int64_t size) {
  const uint32_t key = rounding.key, key_too = rounding.key_too, element = rounding.element;
  adamw_by(parameter, m, v, gradient, f, size, [&](int64_t i, Vec value) {
    const BitVec bits = reinterpret_cast<BitVec>(value);
    const BitVec random = rounding_bits(key, key_too, element + static_cast<uint32_t>(i));
    return value == value ? reinterpret_cast<Vec>((bits + random) & 0xFFFF0000) : value;
  });
}

/// Sums of one row; a row's blocks of 1024 are summed in f32 and added up in f64.
SoftmaxMoments softmax_moments(const float* logits, float scale, int64_t size) {
  Vec most = splat(logits[0] * scale);
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) most = larger(most, load(logits + i) * splat(scale));
  SoftmaxMoments moments;
  moments.highest = largest_lane(most);
  for (; i < size; ++i)
    moments.highest = logits[i] * scale > moments.highest ? logits[i] * scale : moments.highest;
  for (int64_t begin = 0; begin < size; begin += 1024) {
    Vec total{}, weighted{};
    each_vector(lesser(1024, size - begin), [&](int64_t j, auto get, auto put) {
      float masses[kLanes] = {};
      const Vec z = get(logits + begin + j) * splat(scale) - splat(moments.highest);
      put(masses, exponential(z));
      total += load(masses);
      weighted = fma(load(masses), z, weighted);
    });
    moments.total += static_cast<double>(sum_lanes(total));
    moments.weighted += static_cast<double>(sum_lanes(weighted));
  }
  return moments;
}

void softmax_gradient(float* logits, const SoftmaxGradient& g, int64_t size) {
  each_vector(size, [&](int64_t i, auto get, auto put) {
    const Vec z = get(logits + i) * splat(g.scale);
    const Vec p = exponential(z - splat(g.lse));
    put(logits + i, p * (splat(g.by_mass) - splat(g.by_logit) * z) * splat(g.scale));
  });
}

}  // namespace
}  // namespace gristmill::runtime::cpu
