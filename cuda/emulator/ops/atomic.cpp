// atom and red on integers. Those on floating-point numbers do nothing but report a fault of their own: their
// result depends on the order of the threads.

#include <algorithm>
#include <atomic>
#include <type_traits>

#include "emulator/block.hpp"
#include "emulator/ops/access.hpp"
#include "emulator/ops/lanes.hpp"
#include "emulator/ops/operations.hpp"

namespace gristmill::emulator {
namespace {

enum class Atomic : uint8_t {
  add,
  min,
  max,
  inc,
  dec,
  conjunction,
  disjunction,
  exclusive,
  exchange,
  compare
};

template <class T>
T combine(Atomic operation, T old, T b, T c) {
  using Bits = std::make_unsigned_t<T>;
  switch (operation) {
    case Atomic::add:
      return static_cast<T>(static_cast<Bits>(old) + static_cast<Bits>(b));
    case Atomic::min:
      return std::min(old, b);
    case Atomic::max:
      return std::max(old, b);
    case Atomic::inc:
      return old >= b ? T{0} : static_cast<T>(old + 1);
    case Atomic::dec:
      return old == 0 || old > b ? b : static_cast<T>(old - 1);
    case Atomic::conjunction:
      return static_cast<T>(old & b);
    case Atomic::disjunction:
      return static_cast<T>(old | b);
    case Atomic::exclusive:
      return static_cast<T>(old ^ b);
    case Atomic::exchange:
      return b;
    case Atomic::compare:
      return old == b ? c : old;
  }
  return old;
}

/// Other blocks may run on other threads of the host: the exchange is atomic there too.
template <class T>
T exchange(std::byte* at, Atomic operation, T b, T c) {
  std::atomic_ref<T> cell(*reinterpret_cast<T*>(at));
  T old = cell.load();
  while (!cell.compare_exchange_weak(old, combine(operation, old, b, c))) {
  }
  return old;
}

template <class T>
void run(Warp& warp, const Instruction& in, uint32_t mask) {
  Block& block = warp.block;
  ++block.counters.atomics;
  find_addresses(warp, in);
  if (in.space == Space::global) mask = access_global(warp, in, mask, sizeof(T), Use::atomic);
  if (in.space == Space::shared) mask = access_shared(warp, in, mask, sizeof(T), Use::atomic);
  if (in.space == Space::generic) mask = access_generic(warp, in, mask, sizeof(T), Use::atomic);
  const std::byte* b = warp.at(in.src[1]);
  const std::byte* c = in.src[2] == kNone ? b : warp.at(in.src[2]);
  for_lanes(mask, [&](uint32_t lane) {
    const T old =
        exchange<T>(block.place[lane], static_cast<Atomic>(in.mode), get<T>(b, lane), get<T>(c, lane));
    if (in.dst != kNone) put<T>(warp.at(in.dst), lane, old);
  });
}

void run_float(Warp& warp, const Instruction& in, uint32_t mask) {
  for_lanes(mask, [&](uint32_t lane) { warp.block.fault(FaultKind::float_atomic, warp, in, lane); });
}

void take_scopes(Decoder& d) {
  for (const std::string_view word :
       {"relaxed", "acquire", "release", "acq_rel", "cta", "cluster", "gpu", "sys", "noftz", "volatile"}) {
    d.take(word);
  }
}

void choose(Decoder& d) {
  const Type type = d.in.type;
  const bool arithmetic = type == Type::u32 || type == Type::s32 || type == Type::u64 || type == Type::s64;
  const bool bits = type == Type::b32 || type == Type::b64;
  const auto operation = static_cast<Atomic>(d.in.mode);
  if (is_float(type)) {
    d.in.run = run_float;
  } else if (operation < Atomic::conjunction ? !arithmetic : !(bits || arithmetic)) {
    d.refuse("type not supported");
  } else if (type == Type::s32) {
    d.in.run = run<int32_t>;
  } else if (type == Type::s64) {
    d.in.run = run<int64_t>;
  } else {
    d.in.run = bits_of(type) == 32 ? run<uint32_t> : run<uint64_t>;
  }
}

void decode_atomic(Decoder& d, bool has_result) {
  const std::string_view names[] = {"add", "min", "max", "inc", "dec", "and", "or", "xor", "exch", "cas"};
  d.in.type = d.take_type();
  const bool vector = d.take("v2") || d.take("v4");
  if (vector && !is_float(d.in.type)) d.refuse("vectors are not supported");
  take_scopes(d);
  d.in.space = d.take_space().value_or(Space::generic);
  if (d.in.space > Space::shared || d.in.space == Space::constant) d.refuse("this space has no atomics");
  const auto operation = d.take_one(names);
  if (!operation.has_value()) d.refuse("operation not supported");
  d.in.mode = *operation;
  choose(d);
  const size_t address = has_result ? 1 : 0,
               values = static_cast<Atomic>(*operation) == Atomic::compare ? 2 : 1;
  d.expect_operands(address + 1 + values, address + 1 + values);
  d.address(address);
  if (is_float(d.in.type)) return;
  const uint32_t bits = bits_of(d.in.type);
  d.in.src[1] = d.value(address + 1, bits);
  if (values == 2) d.in.src[2] = d.value(address + 2, bits);
  if (has_result) d.in.dst = d.result(0, bits);
  Kernel& kernel = d.kernel();
  if (d.in.space != Space::global) kernel.shared_granule = std::min(kernel.shared_granule, bits / 8);
  if (d.in.space != Space::shared) kernel.global_granule = std::min(kernel.global_granule, bits / 8);
}

void decode_atom(Decoder& d) { decode_atomic(d, true); }
void decode_red(Decoder& d) { decode_atomic(d, false); }

constexpr Operation kOperations[] = {{"atom", decode_atom}, {"red", decode_red}};

}  // namespace

std::span<const Operation> atomic_operations() { return kOperations; }

}  // namespace gristmill::emulator
