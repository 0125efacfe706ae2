#pragma once

// Kernels of a few instructions around one parameter.

#include "device.hpp"

namespace gristmill::test {

/// A kernel with a 64-bit parameter "p" in %p, its thread in %t, its block in %b, and room for values.
inline std::string kernel(const std::string& body, const std::string& variables = "") {
  return ".version 8.0\n.target sm_80\n.address_size 64\n" + variables +
         "\n.entry k(.param .u64 p) {\n.reg .b64 %p, %a, %q<4>; .reg .b32 %t, %b, %r<8>; .reg .pred %c<4>; "
         ".reg .f32 %f<4>;\n"
         "ld.param.u64 %p, [p];\nmov.u32 %t, %tid.x;\nmov.u32 %b, %ctaid.x;\nmul.wide.u32 %a, %t, "
         "4;\nadd.s64 %a, %p, %a;\n" +
         body + "\nret;\n}\n";
}

inline const std::string kShared = "\n.shared .align 16 .b8 s[512];";
/// %r7 = the address of this thread's word in s, %r6 that of its neighbour's.
inline const std::string kPlaces =
    "mov.u32 %r7, s; shl.b32 %r5, %t, 2; add.u32 %r7, %r7, %r5;\n"
    "xor.b32 %r6, %t, 1; shl.b32 %r6, %r6, 2; mov.u32 %r4, s; add.u32 %r6, %r6, %r4;\n";

inline Report run(Device& device, uint64_t parameter, Dim3 grid = {1}, Dim3 block = {32}) {
  return device.run("k", grid, block, parameter);
}

inline Report run(const std::string& ptx, size_t words, Dim3 grid = {1}, Dim3 block = {32},
                  uint64_t seed = 0) {
  Device device(ptx);
  device.options.seed = seed;
  return run(device, device.upload(std::vector<uint32_t>(words, 7)), grid, block);
}

inline bool only(const Report& report, FaultKind kind) {
  return report.faults.size() == 1 && report.faults[0].kind == kind;
}

}  // namespace gristmill::test
