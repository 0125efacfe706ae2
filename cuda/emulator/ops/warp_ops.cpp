// What the lanes of a warp do together: shuffles, votes, matches, sums.

#include <algorithm>
#include <array>
#include <bit>

#include "emulator/block.hpp"
#include "emulator/ops/lanes.hpp"
#include "emulator/ops/operations.hpp"

namespace gristmill::emulator {
namespace {

/// The lanes that execute the instruction, once all that the member mask names are here; 0 if they must wait.
/// Lanes with another mask than the first, or that their own does not name, are a fault.
uint32_t members(Warp& warp, const Instruction& in, uint32_t mask, uint32_t slot) {
  const std::byte* reg = warp.at(slot);
  const auto named = get<uint32_t>(reg, static_cast<size_t>(std::countr_zero(mask)));
  const uint32_t here = warp.gather(in, mask, named);
  for_lanes(here, [&](uint32_t lane) {
    if (get<uint32_t>(reg, lane) != named || (named >> lane & 1) == 0) {
      warp.block.fault(FaultKind::divergent_warp, warp, in, lane);
    }
  });
  return here;
}

enum class Shuffle : uint8_t { up, down, bfly, idx };

void run_shfl(Warp& warp, const Instruction& in, uint32_t mask) {
  mask = members(warp, in, mask, in.src[3]);
  if (mask == 0) return;
  ++warp.block.counters.shuffles;
  const std::byte *a = warp.at(in.src[0]), *b = warp.at(in.src[1]), *c = warp.at(in.src[2]);
  std::array<uint32_t, kLanes> values;
  for (size_t i = 0; i < kLanes; ++i) values[i] = get<uint32_t>(a, i);
  uint32_t inside = 0;
  std::array<uint32_t, kLanes> from;
  for (uint32_t lane = 0; lane < kLanes; ++lane) {
    const uint32_t by = get<uint32_t>(b, lane) & 31, bounds = get<uint32_t>(c, lane);
    const uint32_t clamp = bounds & 31, segment = bounds >> 8 & 31,
                   highest = (lane & segment) | (clamp & ~segment);
    uint32_t source = 0;
    bool in_range = false;
    switch (static_cast<Shuffle>(in.mode)) {
      case Shuffle::up:
        source = lane - by;
        in_range = static_cast<int32_t>(source) >= static_cast<int32_t>(highest);
        break;
      case Shuffle::down:
        source = lane + by;
        in_range = source <= highest;
        break;
      case Shuffle::bfly:
        source = lane ^ by;
        in_range = source <= highest;
        break;
      case Shuffle::idx:
        source = (lane & segment) | (by & ~segment);
        in_range = source <= highest;
        break;
    }
    from[lane] = in_range ? source & 31 : lane;
    inside |= in_range ? uint32_t{1} << lane : 0;
  }
  for_lanes(mask, [&](uint32_t lane) {
    if ((mask >> from[lane] & 1) == 0) warp.block.fault(FaultKind::absent_lane, warp, in, lane);
  });
  each_lane<uint32_t>(warp.at(in.dst), mask, [&](size_t i) { return values[from[i]]; });
  if (in.dst2 != kNone) put_predicate(warp.at(in.dst2), mask, inside);
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
  mask = members(warp, in, mask, in.src[1]);
  if (mask == 0) return;
  uint32_t votes = predicate(warp.at(in.src[0]));
  if (in.source_negated) votes = ~votes;
  votes &= mask;
  const auto vote = static_cast<Vote>(in.mode);
  if (vote == Vote::ballot) {
    each_lane<uint32_t>(warp.at(in.dst), mask, [&](size_t) { return votes; });
    return;
  }
  const bool result = vote == Vote::all   ? votes == mask
                      : vote == Vote::any ? votes != 0
                                          : votes == mask || votes == 0;
  put_predicate(warp.at(in.dst), mask, result ? kAllLanes : 0);
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
  mask = members(warp, in, mask, in.src[1]);
  if (mask == 0) return;
  std::array<T, kLanes> values;
  for (size_t i = 0; i < kLanes; ++i) values[i] = get<T>(warp.at(in.src[0]), i);
  const auto same = [&](size_t lane) {
    uint32_t bits = 0;
    for_lanes(mask,
              [&](uint32_t other) { bits |= values[other] == values[lane] ? uint32_t{1} << other : 0; });
    return bits;
  };
  if (in.mode == 0) {
    only_lanes<uint32_t>(warp.at(in.dst), mask, same);
    return;
  }
  const bool all = same(static_cast<size_t>(std::countr_zero(mask))) == mask;
  each_lane<uint32_t>(warp.at(in.dst), mask, [&](size_t) { return all ? mask : 0; });
  if (in.dst2 != kNone) put_predicate(warp.at(in.dst2), mask, all ? kAllLanes : 0);
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
void run_redux(Warp& warp, const Instruction& in, uint32_t mask) {
  mask = members(warp, in, mask, in.src[1]);
  if (mask == 0) return;
  const std::byte* a = warp.at(in.src[0]);
  T result = get<T>(a, static_cast<size_t>(std::countr_zero(mask)));
  for_lanes(mask & (mask - 1), [&](uint32_t lane) {
    const T x = get<T>(a, lane);
    switch (static_cast<Reduce>(in.mode)) {
      case Reduce::add:
        result = static_cast<T>(static_cast<uint32_t>(result) + static_cast<uint32_t>(x));
        break;
      case Reduce::min:
        result = std::min(result, x);
        break;
      case Reduce::max:
        result = std::max(result, x);
        break;
      case Reduce::conjunction:
        result = static_cast<T>(result & x);
        break;
      case Reduce::disjunction:
        result = static_cast<T>(result | x);
        break;
      case Reduce::exclusive:
        result = static_cast<T>(result ^ x);
        break;
    }
  });
  each_lane<T>(warp.at(in.dst), mask, [&](size_t) { return result; });
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
