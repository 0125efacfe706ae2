#pragma once

// Checked accesses of a warp to memory. Each function takes the addresses from block.address, leaves in
// block.place where each lane's bytes are on the host, and returns the lanes without a fault. Those with one
// are sent to bytes that are all ones: they may be loaded, and must not be written.

#include <cstdint>

#include "emulator/block.hpp"

namespace gristmill::emulator {

/// block.address[i] = the address operand of lane i.
void find_addresses(Warp& warp, const Instruction& in);

/// Of `bytes` a lane. Bounds, alignment, initialisation; notes the ranges for races between warps and blocks;
/// counts sectors.
uint32_t access_global(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes, Use use);
/// The same for shared memory, whose addresses have no window; races inside the block; counts wavefronts.
uint32_t access_shared(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes, Use use);
uint32_t access_local(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes);
/// Only to be read.
uint32_t access_param(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes);
/// Every lane by the window its address lies in.
uint32_t access_generic(Warp& warp, const Instruction& in, uint32_t mask, uint32_t bytes, Use use);

/// Faults of one access in shared memory, as SharedShadow::access() tells them.
void report_shared(Warp& warp, const Instruction& in, uint32_t lane, uint32_t offset, uint32_t faults);
/// Passes over the banks for these lanes' offsets in block.address, `bytes` each.
void count_wavefronts(Block& block, uint32_t mask, uint32_t bytes);
/// 32-byte sectors of these lanes' addresses in block.address.
void count_sectors(Block& block, uint32_t mask, uint32_t bytes);

}  // namespace gristmill::emulator
