#pragma once

// Loops over the lanes of a register. They have no branches where all lanes take part, so that the compiler
// makes vector instructions of them.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "emulator/warp.hpp"

#if defined(__GNUC__) && !defined(__clang__)
#define GRISTMILL_INDEPENDENT _Pragma("GCC ivdep")  // a result's register is a source's or none of them
#else
#define GRISTMILL_INDEPENDENT
#endif

namespace gristmill::emulator {

template <class T>
T get(const std::byte* reg, size_t lane) {
  T value;
  std::memcpy(&value, reg + lane * sizeof(T), sizeof(T));
  return value;
}

template <class T>
void put(std::byte* reg, size_t lane, T value) {
  std::memcpy(reg + lane * sizeof(T), &value, sizeof(T));
}

/// dst[i] = body(i) for the lanes of mask; body may be called for the others too.
template <class T, class Body>
inline void each_lane(std::byte* dst, uint32_t mask, const Body& body) {
  if (mask == kAllLanes) {
    GRISTMILL_INDEPENDENT
    for (size_t i = 0; i < kLanes; ++i) put<T>(dst, i, body(i));
    return;
  }
  T values[kLanes];
  for (size_t i = 0; i < kLanes; ++i) values[i] = body(i);
  for (; mask != 0; mask &= mask - 1) {
    const auto lane = static_cast<size_t>(std::countr_zero(mask));
    put<T>(dst, lane, values[lane]);
  }
}

/// Like each_lane for what is slow or may not be done for lanes that are not in the mask.
template <class T, class Body>
inline void only_lanes(std::byte* dst, uint32_t mask, const Body& body) {
  for (; mask != 0; mask &= mask - 1) {
    const auto lane = static_cast<size_t>(std::countr_zero(mask));
    put<T>(dst, lane, body(lane));
  }
}

template <class Body>
inline void for_lanes(uint32_t mask, const Body& body) {
  for (; mask != 0; mask &= mask - 1) body(static_cast<uint32_t>(std::countr_zero(mask)));
}

/// The registers of up to three sources; in place of those that the instruction lacks stands the first.
struct Sources {
  Sources(const Warp& warp, const Instruction& in)
      : a(warp.at(in.src[0])),
        b(in.src[1] == kNone ? a : warp.at(in.src[1])),
        c(in.src[2] == kNone ? a : warp.at(in.src[2])) {}
  const std::byte *a, *b, *c;
};

/// Result = body(a, b, c), all of type T, for the lanes of mask; body may be called for the others too.
template <class T, class Body>
inline void each_of_three(Warp& warp, const Instruction& in, uint32_t mask, const Body& body) {
  const Sources from(warp, in);
  each_lane<T>(warp.at(in.dst), mask,
               [&](size_t i) { return body(get<T>(from.a, i), get<T>(from.b, i), get<T>(from.c, i)); });
}

inline uint32_t predicate(const std::byte* reg) { return get<uint32_t>(reg, 0); }

inline void put_predicate(std::byte* dst, uint32_t mask, uint32_t values) {
  put<uint32_t>(dst, 0, (predicate(dst) & ~mask) | (values & mask));
}

/// A bit a lane of test(i).
template <class Test>
inline uint32_t lane_bits(const Test& test) {
  uint8_t flags[kLanes];
  for (size_t i = 0; i < kLanes; ++i) flags[i] = test(i) ? 1 : 0;
  uint32_t bits = 0;
  for (size_t part = 0; part < kLanes; part += 8) {  // eight flags at a time: a multiplication collects them
    uint64_t eight = 0;
    std::memcpy(&eight, flags + part, 8);
    bits |= static_cast<uint32_t>((eight * 0x0102040810204080u) >> 56) << part;
  }
  return bits;
}

/// Fills a register of 1, 16, 32 or 64 bits with one value.
inline void fill_lanes(std::byte* reg, uint32_t bits, uint64_t value) {
  if (bits == 1) return put<uint32_t>(reg, 0, value != 0 ? kAllLanes : 0);
  for (size_t i = 0; i < kLanes; ++i) {
    if (bits == 64) put<uint64_t>(reg, i, value);
    if (bits == 32) put<uint32_t>(reg, i, static_cast<uint32_t>(value));
    if (bits == 16) put<uint16_t>(reg, i, static_cast<uint16_t>(value));
  }
}

}  // namespace gristmill::emulator
