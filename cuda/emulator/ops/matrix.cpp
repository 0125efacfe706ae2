// ldmatrix and mma.sync: products of small matrices whose elements lie spread over the lanes of a warp.
//
// Fragments of m16n8k16 (PTX manual, "Matrix Fragments for mma.m16n8k16"): with g = lane / 4 and t = lane %
// 4, register r of A holds row g + 8·(r & 1), columns 2t + 8·(r >> 1) and the next; register r of B holds
// rows 2t + 8r and the next, column g; register r of C holds row g + 8·(r >> 1), column 2t + (r & 1). Of
// m16n8k8 with tf32: register r of A row g + 8·(r & 1), column t + 4·(r >> 1); register r of B row t + 4r,
// column g. Products are exact in f32 or summed there in the order of k; hardware's order is its own, so that
// results agree within rounding, not bit by bit.

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>

#include "emulator/block.hpp"
#include "emulator/numeric.hpp"
#include "emulator/ops/access.hpp"
#include "emulator/ops/lanes.hpp"
#include "emulator/ops/operations.hpp"

namespace gristmill::emulator {
namespace {

constexpr size_t kRows = 16, kCols = 8;

const uint32_t* elements(const Warp& warp, const Instruction& in) {
  return warp.block.grid.kernel.vectors.data() + in.vectors;
}

/// All lanes or none: what the instruction means without some of them is not defined. Then it is a fault, and
/// the results are all ones.
uint32_t whole_warp(Warp& warp, const Instruction& in, uint32_t mask) {
  const uint32_t here = warp.gather(in, mask, kAllLanes);
  if (here != 0 && here != kAllLanes && warp.live != kAllLanes) {
    warp.block.fault(FaultKind::divergent_warp, warp, in, static_cast<uint32_t>(std::countr_zero(~here)));
  }
  return here;
}

void set_all_ones(const Warp& warp, std::span<const uint32_t> results, uint32_t mask) {
  for (const uint32_t result : results)
    each_lane<uint32_t>(warp.at(result), mask, [](size_t) { return UINT32_MAX; });
}

/// Each 8 × 8 matrix q has its rows at the addresses of lanes 8q … 8q + 7, 16 bytes each.
void run_ldmatrix(Warp& warp, const Instruction& in, uint32_t mask) {
  mask = whole_warp(warp, in, mask);
  if (mask == 0) return;
  if (mask != kAllLanes) return set_all_ones(warp, {elements(warp, in), in.elements}, mask);
  Block& block = warp.block;
  ++block.counters.ldmatrix;
  find_addresses(warp, in);
  const auto rows = static_cast<uint32_t>((uint64_t{1} << (8 * in.elements)) - 1);
  block.place.fill(block.nowhere.data());
  access_shared(warp, in, rows, 16, Use::read);
  for (uint32_t q = 0; q < in.elements; ++q) {
    std::byte* reg = warp.at(elements(warp, in)[q]);
    const std::byte* const* row = block.place.data() + 8 * q;
    each_lane<uint32_t>(reg, mask, [&](size_t lane) {
      if (!in.transposed) return get<uint32_t>(row[lane / 4], lane % 4);
      const uint32_t first = get<uint16_t>(row[lane % 4 * 2], lane / 4),
                     second = get<uint16_t>(row[lane % 4 * 2 + 1], lane / 4);
      return first | second << 16;
    });
  }
}

void decode_ldmatrix(Decoder& d) {
  const bool plain =
      d.take("sync") && d.take("aligned") && d.take("m8n8") && (d.take("shared") || d.take("shared::cta"));
  if (!plain || d.take_type() != Type::b16) d.refuse("expected .sync.aligned.m8n8….shared.b16");
  d.in.elements = d.take("x1") ? 1 : d.take("x2") ? 2 : d.take("x4") ? 4 : 0;
  if (d.in.elements == 0) d.refuse("expected .x1, .x2 or .x4");
  d.in.transposed = d.take("trans");
  d.in.run = run_ldmatrix;
  d.expect_operands(2, 2);
  d.address(1);
  d.begin_vectors();
  d.vector_results(0, d.in.elements, 32);
  d.kernel().shared_granule = std::min<uint32_t>(d.kernel().shared_granule, 16);
}

/// A 32-bit float of which 19 bits count.
float tf32(uint32_t bits) { return std::bit_cast<float>(bits & 0xffffe000u); }

/// Eight floats that the compiler keeps in vector registers; left to itself it turns the loops around.
using Row [[gnu::vector_size(32)]] = float;

template <size_t kDepth>
struct Fragments {
  float a[kRows][kDepth], b[kDepth][kCols];
};

template <Type kType>
void unpack(const Warp& warp, const uint32_t* regs, Fragments<16>& out) {
  for (size_t r = 0; r < 4; ++r) {
    const std::byte* reg = warp.at(regs[r]);
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const auto pair = get<uint32_t>(reg, lane);
      float* to = &out.a[lane / 4 + 8 * (r & 1)][lane % 4 * 2 + 8 * (r >> 1)];
      to[0] = half_to_f32(kType, pair);
      to[1] = half_to_f32(kType, pair >> 16);
    }
  }
  for (size_t r = 0; r < 2; ++r) {
    const std::byte* reg = warp.at(regs[4 + r]);
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const auto pair = get<uint32_t>(reg, lane);
      const size_t row = lane % 4 * 2 + 8 * r;
      out.b[row][lane / 4] = half_to_f32(kType, pair);
      out.b[row + 1][lane / 4] = half_to_f32(kType, pair >> 16);
    }
  }
}

template <Type kType>
void unpack(const Warp& warp, const uint32_t* regs, Fragments<8>& out) {
  for (size_t r = 0; r < 4; ++r) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      out.a[lane / 4 + 8 * (r & 1)][lane % 4 + 4 * (r >> 1)] = tf32(get<uint32_t>(warp.at(regs[r]), lane));
    }
  }
  for (size_t r = 0; r < 2; ++r) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      out.b[lane % 4 + 4 * r][lane / 4] = tf32(get<uint32_t>(warp.at(regs[4 + r]), lane));
    }
  }
}

/// kType tells the format of A and B; tf32 has half the depth.
template <Type kType>
void run_mma(Warp& warp, const Instruction& in, uint32_t mask) {
  mask = whole_warp(warp, in, mask);
  if (mask == 0) return;
  const uint32_t* regs = elements(warp, in);  // A: 4, B: 2, C: 4, D: 4
  if (mask != kAllLanes) return set_all_ones(warp, {regs + 10, 4}, mask);
  ++warp.block.counters.mma;
  constexpr size_t kDepth = kType == Type::tf32 ? 8 : 16;
  Fragments<kDepth> in_order;
  unpack<kType>(warp, regs, in_order);
  float c[kRows][kCols];
  for (size_t r = 0; r < 4; ++r) {
    const std::byte* reg = warp.at(regs[6 + r]);
    for (size_t lane = 0; lane < kLanes; ++lane)
      c[lane / 4 + 8 * (r >> 1)][lane % 4 * 2 + (r & 1)] = get<float>(reg, lane);
  }
  for (size_t i = 0; i < kRows; ++i) {
    Row sum, factors;
    std::memcpy(&sum, c[i], sizeof sum);
    for (size_t k = 0; k < kDepth; ++k) {
      std::memcpy(&factors, in_order.b[k], sizeof factors);
      sum += in_order.a[i][k] * factors;
    }
    std::memcpy(c[i], &sum, sizeof sum);
  }
  for (size_t r = 0; r < 4; ++r) {
    each_lane<float>(warp.at(regs[10 + r]), mask, [&](size_t lane) {
      return canonical(c[lane / 4 + 8 * (r >> 1)][lane % 4 * 2 + (r & 1)]);
    });
  }
}

void decode_mma(Decoder& d) {
  const Type c = d.take_type(), b = d.take_type(), a = d.take_type(), result = d.take_type();
  if (!d.take("sync") || !d.take("aligned") || !d.take("row") || !d.take("col"))
    d.refuse("expected .sync.aligned….row.col");
  const bool deep = d.take("m16n8k16"), half = a == Type::bf16 || a == Type::f16;
  if ((deep ? !half : !d.take("m16n8k8") || !(half || a == Type::tf32)) || a != b || c != Type::f32 ||
      result != Type::f32) {
    d.refuse("supported are m16n8k16 of bf16 or f16 and m16n8k8 of those or tf32, with f32 sums");
  }
  d.in.type = a;
  d.in.run = a == Type::bf16  ? run_mma<Type::bf16>
             : a == Type::f16 ? run_mma<Type::f16>
                              : run_mma<Type::tf32>;
  d.expect_operands(4, 4);
  d.begin_vectors();
  const bool shallow = half && !deep;  // the other half of the depth is zeros
  d.vector_values(1, shallow ? 2 : 4, 32);
  if (shallow) d.push_zeros(2);
  d.vector_values(2, shallow ? 1 : 2, 32);
  if (shallow) d.push_zeros(1);
  d.vector_values(3, 4, 32);
  d.vector_results(0, 4, 32);
}

/// Transposes an 8 × 8 matrix of 16 bits whose row g lies in lanes 4g … 4g + 3.
void run_movmatrix(Warp& warp, const Instruction& in, uint32_t mask) {
  mask = whole_warp(warp, in, mask);
  if (mask == 0) return;
  if (mask != kAllLanes) return set_all_ones(warp, {&in.dst, 1}, mask);
  uint16_t matrix[kCols][kCols];
  for (size_t lane = 0; lane < kLanes; ++lane) {
    const auto pair = get<uint32_t>(warp.at(in.src[0]), lane);
    matrix[lane / 4][lane % 4 * 2] = static_cast<uint16_t>(pair);
    matrix[lane / 4][lane % 4 * 2 + 1] = static_cast<uint16_t>(pair >> 16);
  }
  each_lane<uint32_t>(warp.at(in.dst), mask, [&](size_t lane) {
    const size_t row = lane % 4 * 2, col = lane / 4;
    return uint32_t{matrix[row][col]} | uint32_t{matrix[row + 1][col]} << 16;
  });
}

void decode_movmatrix(Decoder& d) {
  const bool plain = d.take("sync") && d.take("aligned") && d.take("m8n8") && d.take("trans");
  if (!plain || d.take_type() != Type::b16) d.refuse("expected .sync.aligned.m8n8.trans.b16");
  d.in.run = run_movmatrix;
  d.expect_operands(2, 2);
  d.in.src[0] = d.value(1, 32);
  d.in.dst = d.result(0, 32);
}

constexpr Operation kOperations[] = {
    {"movmatrix", decode_movmatrix}, {"ldmatrix", decode_ldmatrix}, {"mma", decode_mma}};

}  // namespace

std::span<const Operation> matrix_operations() { return kOperations; }

}  // namespace gristmill::emulator
