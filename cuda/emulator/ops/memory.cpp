// ld and st in all spaces.

#include <algorithm>

#include "emulator/block.hpp"
#include "emulator/ops/access.hpp"
#include "emulator/ops/lanes.hpp"
#include "emulator/ops/operations.hpp"

namespace gristmill::emulator {
namespace {

/// Memory to register; In is sign- or zero-extended to Reg.
template <class In, class Reg>
void load_lanes(std::byte* reg, std::byte* const* at, size_t offset, uint32_t mask) {
  for_lanes(mask, [&](uint32_t lane) {
    In value;
    std::memcpy(&value, at[lane] + offset, sizeof value);
    put<Reg>(reg, lane, static_cast<Reg>(value));
  });
}

template <class Out, class Reg>
void store_lanes(std::byte* reg, std::byte* const* at, size_t offset, uint32_t mask) {
  for_lanes(mask, [&](uint32_t lane) {
    const auto value = static_cast<Out>(get<Reg>(reg, lane));
    std::memcpy(at[lane] + offset, &value, sizeof value);
  });
}

template <class In>
LaneMove load_to(uint32_t bits) {
  return bits == 16   ? load_lanes<In, uint16_t>
         : bits == 32 ? load_lanes<In, uint32_t>
                      : load_lanes<In, uint64_t>;
}

LaneMove load_move(Type type, uint32_t bits) {
  switch (type) {
    case Type::s8:
      return load_to<int8_t>(bits);
    case Type::s16:
      return load_to<int16_t>(bits);
    case Type::s32:
      return load_to<int32_t>(bits);
    default:
      break;
  }
  switch (bits_of(type)) {
    case 8:
      return load_to<uint8_t>(bits);
    case 16:
      return load_to<uint16_t>(bits);
    case 32:
      return load_to<uint32_t>(bits);
    default:
      return load_to<uint64_t>(bits);
  }
}

template <class Out>
LaneMove store_from(uint32_t bits) {
  return bits == 16   ? store_lanes<Out, uint16_t>
         : bits == 32 ? store_lanes<Out, uint32_t>
                      : store_lanes<Out, uint64_t>;
}

LaneMove store_move(Type type, uint32_t bits) {
  switch (bits_of(type)) {
    case 8:
      return store_from<uint8_t>(bits);
    case 16:
      return store_from<uint16_t>(bits);
    case 32:
      return store_from<uint32_t>(bits);
    default:
      return store_from<uint64_t>(bits);
  }
}

void move_elements(Warp& warp, const Instruction& in, uint32_t mask) {
  const uint32_t* elements = warp.block.grid.kernel.vectors.data() + in.vectors;
  const uint32_t size = in.bytes / in.elements;
  for (uint32_t e = 0; e < in.elements; ++e)
    in.move(warp.at(elements[e]), warp.block.place.data(), e * size, mask);
}

template <Space kSpace, Use kUse>
void run_access(Warp& warp, const Instruction& in, uint32_t mask) {
  find_addresses(warp, in);
  uint32_t good = 0;
  if constexpr (kSpace == Space::global) good = access_global(warp, in, mask, in.bytes, kUse);
  if constexpr (kSpace == Space::shared) good = access_shared(warp, in, mask, in.bytes, kUse);
  if constexpr (kSpace == Space::local) good = access_local(warp, in, mask, in.bytes);
  if constexpr (kSpace == Space::param) good = access_param(warp, in, mask, in.bytes);
  if constexpr (kSpace == Space::generic) good = access_generic(warp, in, mask, in.bytes, kUse);
  // What faulty loads give is all ones, what faulty stores write is lost.
  move_elements(warp, in, kUse == Use::write ? good : mask);
}

template <Use kUse>
Handler handler(Space space) {
  switch (space) {
    case Space::generic:
      return run_access<Space::generic, kUse>;
    case Space::global:
    case Space::constant:
      return run_access<Space::global, kUse>;
    case Space::shared:
      return run_access<Space::shared, kUse>;
    case Space::local:
      return run_access<Space::local, kUse>;
    case Space::param:
      return run_access<Space::param, kUse>;
  }
  return nullptr;
}

/// What caches and other threads may see of it makes no difference here.
void take_cache_hints(Decoder& d) {
  for (const std::string_view hint : {"nc",
                                      "volatile",
                                      "weak",
                                      "relaxed",
                                      "acquire",
                                      "release",
                                      "cta",
                                      "cluster",
                                      "gpu",
                                      "sys",
                                      "ca",
                                      "cg",
                                      "cs",
                                      "lu",
                                      "cv",
                                      "wb",
                                      "wt",
                                      "L1::no_allocate",
                                      "L1::evict_normal",
                                      "L1::evict_first",
                                      "L1::evict_last",
                                      "L1::evict_unchanged",
                                      "L2::64B",
                                      "L2::128B",
                                      "L2::256B"}) {
    d.take(hint);
  }
}

void decode_access(Decoder& d, bool load) {
  d.in.type = d.take_type();
  d.in.elements = d.take("v2") ? 2 : d.take("v4") ? 4 : d.take("v8") ? 8 : 1;
  d.in.space = d.take_space().value_or(Space::generic);
  take_cache_hints(d);
  if (!load && (d.in.space == Space::param || d.in.space == Space::constant))
    d.refuse("this space is read-only");
  if (d.in.type == Type::pred) d.refuse("type not supported");
  const uint32_t bytes = bytes_of(d.in.type) * d.in.elements;
  if (bytes > (d.in.space == Space::global ? 32U : 16U)) d.refuse("more than 16 bytes (32 of global memory)");
  d.in.bytes = static_cast<uint8_t>(bytes);
  d.in.run = load ? handler<Use::read>(d.in.space) : handler<Use::write>(d.in.space);
  d.expect_operands(2, 2);
  d.address(load ? 1 : 0);
  const Operand& data = d.operand(load ? 0 : 1);
  const bool vector = data.form == Operand::Form::vector;
  if ((vector ? data.parts.size() : 1) != d.in.elements)
    d.refuse("the vector's size is not that of the access");
  d.begin_vectors();
  uint32_t bits = 0, first_bits = 0;
  for (uint32_t e = 0; e < d.in.elements; ++e) {
    const Operand& part = vector ? data.parts[e] : data;
    d.push_vector(load ? d.wide_result(part, d.in.type, bits) : d.wide_value(part, d.in.type, bits));
    if (e > 0 && bits != first_bits) d.refuse("the vector's registers have different widths");
    first_bits = bits;
  }
  d.in.move = load ? load_move(d.in.type, bits) : store_move(d.in.type, bits);
  Kernel& kernel = d.kernel();
  if (d.in.space == Space::shared || d.in.space == Space::generic)
    kernel.shared_granule = std::min(kernel.shared_granule, bytes);
  if (d.in.space == Space::global || d.in.space == Space::generic)
    kernel.global_granule = std::min(kernel.global_granule, bytes);
}

void decode_ld(Decoder& d) { decode_access(d, true); }
void decode_st(Decoder& d) { decode_access(d, false); }

/// Fences: accesses are seen by all at once here.
void decode_fence(Decoder& d) {
  for (const std::string_view word :
       {"gl", "sys", "cta", "gpu", "cluster", "sc", "acq_rel", "acquire", "release"})
    d.take(word);
  d.expect_operands(0, 0);
  d.in.run = run_nothing;
}

/// prefetch and the like: the address is not looked at.
void decode_prefetch(Decoder& d) {
  for (const std::string_view word : {"global", "L1", "L2", "L2::evict_last", "L2::evict_normal"})
    d.take(word);
  d.expect_operands(1, 1);
  d.address(0);
  d.in.run = run_nothing;
}

constexpr Operation kOperations[] = {{"ld", decode_ld},
                                     {"ldu", decode_ld},
                                     {"st", decode_st},
                                     {"membar", decode_fence},
                                     {"fence", decode_fence},
                                     {"prefetch", decode_prefetch},
                                     {"prefetchu", decode_prefetch}};

}  // namespace

std::span<const Operation> memory_operations() { return kOperations; }

}  // namespace gristmill::emulator
