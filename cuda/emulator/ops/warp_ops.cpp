// What the lanes of a warp do together: shuffles, votes, matches, sums.

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "emulator/block.hpp"
#include "emulator/ops/lanes.hpp"
#include "emulator/ops/operations.hpp"
#include "emulator/ops/tiles.hpp"

namespace gristmill::emulator {
namespace {

enum class Shuffle : uint8_t { up, down, bfly, idx };

/// From which lane each lane takes its value, and a bit for those whose source is in range; the others take
/// their own. source(lane, by, first, segment) tells which, without the bounds: `first` is the first lane of
/// the lane's part of the warp, `segment` the mask that divides it.
template <class Source>
uint32_t find_sources(const Warp& warp, const Instruction& in, std::array<uint32_t, kLanes>& from,
                      const Source& source) {
  const std::byte *b = warp.at(in.src[1]), *c = warp.at(in.src[2]);
  std::array<uint32_t, kLanes> inside;
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    const uint32_t by = get<uint32_t>(b, lane) & 31, bounds = get<uint32_t>(c, lane);
    const uint32_t clamp = bounds & 31, segment = bounds >> 8 & 31;
    const uint32_t first = lane & segment, bound = first | (clamp & ~segment);
    const auto at = static_cast<int32_t>(source(lane, by, first, segment)),
               limit = static_cast<int32_t>(bound);
    inside[lane] = (static_cast<Shuffle>(in.mode) == Shuffle::up ? at >= limit : at <= limit) ? 1 : 0;
    from[lane] = inside[lane] != 0 ? static_cast<uint32_t>(at) & 31 : lane;
  }
  return lane_bits([&](size_t lane) { return inside[lane] != 0; });
}

uint32_t find_sources(const Warp& warp, const Instruction& in, std::array<uint32_t, kLanes>& from) {
  switch (static_cast<Shuffle>(in.mode)) {
    case Shuffle::up:
      return find_sources(warp, in, from, [](auto lane, auto by, auto, auto) { return lane - by; });
    case Shuffle::down:
      return find_sources(warp, in, from, [](auto lane, auto by, auto, auto) { return lane + by; });
    case Shuffle::bfly:
      return find_sources(warp, in, from, [](auto lane, auto by, auto, auto) { return lane ^ by; });
    case Shuffle::idx:
      break;
  }
  return find_sources(warp, in, from,
                      [](auto, auto by, auto first, auto segment) { return first | (by & ~segment); });
}

/// What a lane that does not take part gives is all ones, and a fault.
void run_shfl(Warp& warp, const Instruction& in, uint32_t mask) {
  std::array<uint32_t, kLanes> from, values;
  const uint32_t inside = find_sources(warp, in, from);
  std::memcpy(values.data(), warp.at(in.src[0]), sizeof values);
  each_tile(warp, in, mask, in.src[3], [&](uint32_t lanes, uint32_t) {
    ++warp.block.counters.shuffles;
    const uint32_t absent = lanes & ~lane_bits([&](size_t i) { return (lanes >> from[i] & 1) != 0; });
    for_lanes(absent, [&](uint32_t lane) { warp.block.fault(FaultKind::absent_lane, warp, in, lane); });
    each_lane<uint32_t>(warp.at(in.dst), lanes,
                        [&](size_t i) { return (absent >> i & 1) != 0 ? UINT32_MAX : values[from[i]]; });
    if (in.dst2 != kNone) put_predicate(warp.at(in.dst2), lanes, inside);
  });
}

void decode_shfl(Decoder& d) {
  const std::string_view names[] = {"up", "down", "bfly", "idx"};
  if (!d.take("sync")) d.refuse("expected .sync");
  if (d.take_type() != Type::b32) d.refuse("expected .b32");
  const auto mode = d.take_one(names);
  if (!mode.has_value()) d.refuse("expected .up, .down, .bfly or .idx");
  d.in.mode = *mode;
  d.in.run = run_shfl;
  d.expect_operands(5, 5);
  for (size_t i = 0; i < 4; ++i) d.in.src[i] = d.value(i + 1, 32);
  d.in.dst = d.result(0, 32);
  d.in.dst2 = d.second_predicate(0);
}

enum class Vote : uint8_t { all, any, uni, ballot };

void run_vote(Warp& warp, const Instruction& in, uint32_t mask) {
  const uint32_t given = predicate(warp.at(in.src[0])) ^ (in.source_negated ? kAllLanes : 0);
  each_tile(warp, in, mask, in.src[1], [&](uint32_t lanes, uint32_t) {
    const uint32_t votes = given & lanes;
    const auto vote = static_cast<Vote>(in.mode);
    if (vote == Vote::ballot) {
      each_lane<uint32_t>(warp.at(in.dst), lanes, [&](size_t) { return votes; });
      return;
    }
    const bool result = vote == Vote::all   ? votes == lanes
                        : vote == Vote::any ? votes != 0
                                            : votes == lanes || votes == 0;
    put_predicate(warp.at(in.dst), lanes, result ? kAllLanes : 0);
  });
}

void decode_vote(Decoder& d) {
  const std::string_view names[] = {"all", "any", "uni", "ballot"};
  const Type type = d.take_type();
  const auto mode = d.take_one(names);
  if (!d.take("sync") || !mode.has_value()) d.refuse("expected .sync with .all, .any, .uni or .ballot");
  d.in.mode = *mode;
  if (type != (static_cast<Vote>(*mode) == Vote::ballot ? Type::b32 : Type::pred))
    d.refuse("type not supported");
  d.in.run = run_vote;
  d.expect_operands(3, 3);
  d.in.src[0] = d.predicate(1);
  d.in.src[1] = d.value(2, 32);
  d.in.dst = d.result(0, bits_of(type));
}

/// Which lanes hold the same value; .all: all of them or none.
template <class T>
void run_match(Warp& warp, const Instruction& in, uint32_t mask) {
  std::array<T, kLanes> values;
  std::memcpy(values.data(), warp.at(in.src[0]), sizeof values);
  each_tile(warp, in, mask, in.src[1], [&](uint32_t lanes, uint32_t) {
    const auto same = [&](size_t lane) {
      return lanes & lane_bits([&](size_t other) { return values[other] == values[lane]; });
    };
    if (in.mode == 0) {
      only_lanes<uint32_t>(warp.at(in.dst), lanes, same);
      return;
    }
    const bool all = same(static_cast<size_t>(std::countr_zero(lanes))) == lanes;
    each_lane<uint32_t>(warp.at(in.dst), lanes, [&](size_t) { return all ? lanes : 0; });
    if (in.dst2 != kNone) put_predicate(warp.at(in.dst2), lanes, all ? kAllLanes : 0);
  });
}

void decode_match(Decoder& d) {
  d.in.type = d.take_type();
  const uint32_t bits = bits_of(d.in.type);
  const bool all = d.take("all");
  if (!all && !d.take("any")) d.refuse("expected .any or .all");
  if (!d.take("sync") || (d.in.type != Type::b32 && d.in.type != Type::b64))
    d.refuse("expected .sync and .b32 or .b64");
  d.in.mode = all ? 1 : 0;
  d.in.run = bits == 32 ? run_match<uint32_t> : run_match<uint64_t>;
  d.expect_operands(3, 3);
  d.in.src[0] = d.value(1, bits);
  d.in.src[1] = d.value(2, 32);
  d.in.dst = d.result(0, 32);
  d.in.dst2 = d.second_predicate(0);
}

enum class Reduce : uint8_t { add, min, max, conjunction, disjunction, exclusive };

template <class T>
T combine(Reduce operation, T a, T b) {
  switch (operation) {
    case Reduce::add:
      return static_cast<T>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
    case Reduce::min:
      return std::min(a, b);
    case Reduce::max:
      return std::max(a, b);
    case Reduce::conjunction:
      return static_cast<T>(a & b);
    case Reduce::disjunction:
      return static_cast<T>(a | b);
    case Reduce::exclusive:
      return static_cast<T>(a ^ b);
  }
  return a;
}

template <class T>
void run_redux(Warp& warp, const Instruction& in, uint32_t mask) {
  const std::byte* a = warp.at(in.src[0]);
  each_tile(warp, in, mask, in.src[1], [&](uint32_t lanes, uint32_t) {
    T result = get<T>(a, static_cast<size_t>(std::countr_zero(lanes)));
    for_lanes(lanes & (lanes - 1), [&](uint32_t lane) {
      result = combine(static_cast<Reduce>(in.mode), result, get<T>(a, lane));
    });
    each_lane<T>(warp.at(in.dst), lanes, [&](size_t) { return result; });
  });
}

void decode_redux(Decoder& d) {
  const std::string_view names[] = {"add", "min", "max", "and", "or", "xor"};
  const Type type = d.take_type();
  const auto mode = d.take_one(names);
  if (!d.take("sync") || !mode.has_value()) d.refuse("expected .sync and an operation");
  if (type != Type::u32 && type != Type::s32 && type != Type::b32) d.refuse("type not supported");
  d.in.mode = *mode;
  d.in.run = type == Type::s32 ? run_redux<int32_t> : run_redux<uint32_t>;
  d.expect_operands(3, 3);
  d.in.src[0] = d.value(1, 32);
  d.in.src[1] = d.value(2, 32);
  d.in.dst = d.result(0, 32);
}

void run_activemask(Warp& warp, const Instruction& in, uint32_t mask) {
  each_lane<uint32_t>(warp.at(in.dst), mask, [&](size_t) { return mask; });
}

void decode_activemask(Decoder& d) {
  if (d.take_type() != Type::b32) d.refuse("expected .b32");
  d.in.run = run_activemask;
  d.expect_operands(1, 1);
  d.in.dst = d.result(0, 32);
}

constexpr Operation kOperations[] = {{"shfl", decode_shfl},
                                     {"vote", decode_vote},
                                     {"match", decode_match},
                                     {"redux", decode_redux},
                                     {"activemask", decode_activemask}};

}  // namespace

std::span<const Operation> warp_operations() { return kOperations; }

}  // namespace gristmill::emulator
