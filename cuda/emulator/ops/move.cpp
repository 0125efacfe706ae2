// mov with packing and unpacking, cvta, isspacep.

#include "emulator/block.hpp"
#include "emulator/ops/lanes.hpp"
#include "emulator/ops/operations.hpp"

namespace gristmill::emulator {
namespace {

template <class T>
void run_mov(Warp& warp, const Instruction& in, uint32_t mask) {
  const std::byte* a = warp.at(in.src[0]);
  each_lane<T>(warp.at(in.dst), mask, [&](size_t i) { return get<T>(a, i); });
}

void run_mov_predicate(Warp& warp, const Instruction& in, uint32_t mask) {
  put_predicate(warp.at(in.dst), mask, predicate(warp.at(in.src[0])));
}

/// {a, b, …} = x: Part has the bits of an element.
template <class Whole, class Part>
void run_unpack(Warp& warp, const Instruction& in, uint32_t mask) {
  const uint32_t* parts = warp.block.grid.kernel.vectors.data() + in.vectors;
  Whole whole[kLanes];
  for (size_t i = 0; i < kLanes; ++i) whole[i] = get<Whole>(warp.at(in.src[0]), i);
  for (size_t part = 0; part < sizeof(Whole) / sizeof(Part); ++part) {
    each_lane<Part>(warp.at(parts[part]), mask,
                    [&](size_t i) { return static_cast<Part>(whole[i] >> (8 * sizeof(Part) * part)); });
  }
}

template <class Whole, class Part>
void run_pack(Warp& warp, const Instruction& in, uint32_t mask) {
  const uint32_t* parts = warp.block.grid.kernel.vectors.data() + in.vectors;
  Whole whole[kLanes] = {};
  for (size_t part = 0; part < sizeof(Whole) / sizeof(Part); ++part) {
    const std::byte* reg = warp.at(parts[part]);
    for (size_t i = 0; i < kLanes; ++i)
      whole[i] |= static_cast<Whole>(get<Part>(reg, i)) << (8 * sizeof(Part) * part);
  }
  each_lane<Whole>(warp.at(in.dst), mask, [&](size_t i) { return whole[i]; });
}

void decode_vector_mov(Decoder& d, bool unpack) {
  const uint32_t bits = bits_of(d.in.type);
  const size_t count = d.operand(unpack ? 0 : 1).parts.size();
  const bool by_32 = bits == 64 && count == 2, by_16 = bits == 64 && count == 4,
             halves = bits == 32 && count == 2;
  if (!by_32 && !by_16 && !halves) d.refuse("a vector of this size does not fit the type");
  d.begin_vectors();
  const uint32_t part = bits / static_cast<uint32_t>(count);
  if (unpack) {
    d.in.src[0] = d.value(1, bits);
    d.vector_results(0, count, part);
    d.in.run = by_32   ? run_unpack<uint64_t, uint32_t>
               : by_16 ? run_unpack<uint64_t, uint16_t>
                       : run_unpack<uint32_t, uint16_t>;
  } else {
    d.vector_values(1, count, part);
    d.in.dst = d.result(0, bits);
    d.in.run = by_32   ? run_pack<uint64_t, uint32_t>
               : by_16 ? run_pack<uint64_t, uint16_t>
                       : run_pack<uint32_t, uint16_t>;
  }
}

void decode_mov(Decoder& d) {
  d.in.type = d.take_type();
  d.expect_operands(2, 2);
  const bool unpack = d.operand(0).form == Operand::Form::vector;
  if (unpack || d.operand(1).form == Operand::Form::vector) return decode_vector_mov(d, unpack);
  switch (bits_of(d.in.type)) {
    case 1:
      d.in.run = run_mov_predicate;
      break;
    case 16:
      d.in.run = run_mov<uint16_t>;
      break;
    case 32:
      d.in.run = run_mov<uint32_t>;
      break;
    case 64:
      d.in.run = run_mov<uint64_t>;
      break;
    default:
      d.refuse("type not supported");
  }
  d.in.src[0] = d.value(1, bits_of(d.in.type));
  d.in.dst = d.result(0, bits_of(d.in.type));
}

/// Addresses of global and constant memory are the same in both forms; the other spaces lie in windows.
void run_cvta(Warp& warp, const Instruction& in, uint32_t mask) {
  const std::byte* a = warp.at(in.src[0]);
  each_lane<uint64_t>(warp.at(in.dst), mask, [&](size_t i) { return get<uint64_t>(a, i) + in.immediate; });
}

Space named_space(Decoder& d) {
  const auto space = d.take_space();
  if (!space.has_value()) d.refuse("expected a state space");
  return *space;
}

uint64_t window(Space space) {
  return space == Space::shared  ? kSharedWindow
         : space == Space::local ? kLocalWindow
         : space == Space::param ? kParamWindow
                                 : 0;
}

void decode_cvta(Decoder& d) {
  d.in.type = d.take_type();
  if (d.in.type != Type::u64) d.refuse("expected .u64");
  const bool to_space = d.take("to");
  d.in.immediate = window(named_space(d));
  if (to_space) d.in.immediate = 0 - d.in.immediate;
  d.in.run = run_cvta;
  d.expect_operands(2, 2);
  d.in.src[0] = d.value(1, 64);
  d.in.dst = d.result(0, 64);
}

void run_isspacep(Warp& warp, const Instruction& in, uint32_t mask) {
  const std::byte* a = warp.at(in.src[0]);
  const Memory& memory = warp.block.grid.memory;
  uint32_t bits = 0;
  for_lanes(mask, [&](uint32_t lane) {
    const auto address = get<uint64_t>(a, lane);
    bool inside = address >= kGlobalBase && address < kGlobalEnd;
    if (in.space == Space::constant)
      inside = inside && memory.find(address) != nullptr && memory.find(address)->read_only();
    if (window(in.space) != 0)
      inside = address >= window(in.space) && address - window(in.space) < kWindowSize;
    bits |= inside ? uint32_t{1} << lane : 0;
  });
  put_predicate(warp.at(in.dst), mask, bits);
}

void decode_isspacep(Decoder& d) {
  d.in.space = named_space(d);
  d.in.run = run_isspacep;
  d.expect_operands(2, 2);
  d.in.src[0] = d.value(1, 64);
  d.in.dst = d.result(0, 1);
}

constexpr Operation kOperations[] = {
    {"mov", decode_mov}, {"cvta", decode_cvta}, {"isspacep", decode_isspacep}};

}  // namespace

std::span<const Operation> move_operations() { return kOperations; }

}  // namespace gristmill::emulator
