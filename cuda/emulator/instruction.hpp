#pragma once

// A decoded instruction: the function that executes it for 32 lanes, and where its operands lie in the
// registers of a warp.
//
// Registers are kept lane beside lane ("structure of arrays"): a register of 32 bits is 32 adjacent words at
// a byte offset of the warp's register file, so that a handler is one loop that the compiler turns into
// vector instructions. A predicate is one word with a bit a lane. Immediates and special registers lie in the
// file too, so that all operands are alike.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "emulator/fault.hpp"
#include "emulator/numeric.hpp"
#include "emulator/ptx/syntax.hpp"

namespace gristmill::emulator {

constexpr uint32_t kLanes = 32, kAllLanes = 0xffffffffu, kNone = UINT32_MAX;

class Warp;
struct Instruction;
/// Executes an instruction for the lanes of `mask`, which is never empty.
using Handler = void (*)(Warp& warp, const Instruction& in, uint32_t mask);
/// Moves one element between memory and a register: lane i's is at at[i] + offset.
using LaneMove = void (*)(std::byte* reg, std::byte* const* at, size_t offset, uint32_t mask);

enum class Compare : uint8_t { eq, ne, lt, le, gt, ge, equ, neu, ltu, leu, gtu, geu, num, nan };
enum class Combine : uint8_t { none, logic_and, logic_or, logic_xor };

struct Instruction {
  Handler run = nullptr;
  uint32_t guard = kNone;  ///< a predicate
  uint32_t dst = kNone, dst2 = kNone;
  std::array<uint32_t, 4> src = {kNone, kNone, kNone, kNone};
  uint32_t vectors = 0;    ///< index into Kernel::vectors of the first element of a vector operand
  uint32_t target = 0;     ///< a jump's instruction or table; of an address 1 if its base has 32 bits
  uint64_t immediate = 0;  ///< an address's offset; constants such as lop3's table
  uint64_t second = 0;     ///< the offset of a second address
  LaneMove move = nullptr;
  Type type = Type::none, from = Type::none;
  Space space = Space::generic;
  Rounding rounding = Rounding::nearest;
  Compare compare = Compare::eq;
  Combine combine = Combine::none;
  uint8_t elements = 1;  ///< of a vector access, of ldmatrix
  uint8_t bytes = 0;     ///< of a memory access with all its elements; of the register that cvt writes
  uint8_t mode = 0;      ///< shuffle, vote, atomic operation, …; bytes of the register that cvt reads
  bool guard_negated = false, source_negated = false;
  bool flush = false, saturate = false, relu = false, keeps_nan = false;
  bool transposed = false;  ///< ldmatrix; of cvt: to a whole number in a floating-point format
};

/// Registers whose values the launch provides.
enum class Special : uint8_t {
  tid_x,
  tid_y,
  tid_z,
  ntid_x,
  ntid_y,
  ntid_z,
  ctaid_x,
  ctaid_y,
  ctaid_z,
  nctaid_x,
  nctaid_y,
  nctaid_z,
  laneid,
  warpid,
  nwarpid,
  smid,
  nsmid,
  gridid,
  lanemask_eq,
  lanemask_lt,
  lanemask_le,
  lanemask_gt,
  lanemask_ge,
  dynamic_smem_size,
  total_smem_size,
  clock,
  clock64,
  globaltimer,
};

constexpr uint32_t kMostShared = 227 * 1024;  ///< bytes of a block, static and dynamic together

struct Parameter {
  uint32_t offset = 0, size = 0;
};

/// A kernel ready to run. The pointers of its instructions hold for the life of the module.
struct Kernel {
  struct Constant {
    uint32_t slot = 0, bits = 0;  ///< bits 1: a predicate
    uint64_t value = 0;
  };
  struct SpecialUse {
    uint32_t slot = 0, bits = 0;
    Special special = Special::laneid;
  };
  struct Slot {
    uint32_t offset = 0, bytes = 0;
  };

  std::string name;
  std::vector<Instruction> code;
  std::vector<uint32_t> vectors;              ///< registers of vector operands
  std::vector<std::vector<uint32_t>> tables;  ///< of brx.idx
  std::vector<uint32_t> lines;                ///< of each instruction
  std::vector<std::string> texts;             ///< of each instruction
  std::vector<Parameter> parameters;
  uint32_t parameter_bytes = 0;
  uint32_t static_shared = 0;  ///< bytes; dynamic shared memory follows
  uint32_t local_bytes = 0;    ///< a thread
  uint32_t file_bytes = 0;     ///< registers of a warp
  std::vector<Constant> constants;
  std::vector<SpecialUse> specials;
  std::vector<Slot> cleared;                          ///< registers that may be read before they are written
  uint32_t shared_granule = 16, global_granule = 32;  ///< bytes of the narrowest access
  std::array<uint32_t, 3> max_threads = {0, 0, 0};
  bool exact_threads = false;
};

}  // namespace gristmill::emulator
