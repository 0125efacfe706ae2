#pragma once

// The instructions by name. Each file of this folder decodes and executes one family.

#include <span>
#include <string_view>
#include <vector>

#include "emulator/decode/decoder.hpp"

namespace gristmill::emulator {

/// Fills decoder.in and takes the modifiers it understands; Error{input} for a form that is not supported.
using Decode = void (*)(Decoder& decoder);
struct Operation {
  std::string_view name;
  Decode decode = nullptr;
};

/// The decoder of an instruction's first word; null if there is none.
Decode find_operation(std::string_view name);
/// The first words of all instructions, in the order of the alphabet.
std::vector<std::string_view> operation_names();

std::span<const Operation> arithmetic_operations();
std::span<const Operation> bit_operations();
std::span<const Operation> compare_operations();
std::span<const Operation> convert_operations();
std::span<const Operation> move_operations();
std::span<const Operation> memory_operations();
std::span<const Operation> async_operations();
std::span<const Operation> atomic_operations();
std::span<const Operation> matrix_operations();
std::span<const Operation> warp_operations();
std::span<const Operation> control_operations();

/// What leaves the order of the code: for the analysis of live ranges.
Handler jump_handler();
Handler table_jump_handler();
Handler exit_handler();

/// For instructions without effect on results.
void run_nothing(Warp& warp, const Instruction& in, uint32_t mask);

/// An unguarded exit, for the end of a kernel.
Instruction make_exit();

}  // namespace gristmill::emulator
