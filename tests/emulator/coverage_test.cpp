// Every instruction that the emulated GPU knows, with an answer each. Its forms are tried elsewhere
// (instructions, checks, execution); this says that none is left out.
#include <map>

#include "emulator/ops/operations.hpp"
#include "small_kernels.hpp"

using namespace gristmill;
using namespace gristmill::test;

namespace {

/// What thread 3 of 32 has in %r0 afterwards. Before it %r1 is 0x80, %r2 is 5, %f1 is 4.0, %f2 is 0.5; %h1
/// and %h2 are 1.0 and 2.0 in f16; the word at %a is 7, and so is that at [%s] in shared memory.
struct Case {
  std::string text;
  uint32_t expected = 0;
};

std::string in_float(const std::string& op, const std::string& arguments) {
  return op + " %f0, " + arguments + "; mov.b32 %r0, %f0;";
}

uint32_t bits(float x) { return std::bit_cast<uint32_t>(x); }

std::map<std::string_view, Case> arithmetic() {
  return {{"add", {"add.u32 %r0, %r1, %r2;", 0x85}},
          {"sub", {"sub.u32 %r0, %r1, %r2;", 0x7b}},
          {"mul", {"mul.lo.u32 %r0, %r1, %r2;", 0x280}},
          {"mad", {"mad.lo.u32 %r0, %r1, %r2, %t;", 0x283}},
          {"div", {"div.u32 %r0, %r1, %r2;", 25}},
          {"rem", {"rem.u32 %r0, %r1, %r2;", 3}},
          {"min", {"min.u32 %r0, %r1, %r2;", 5}},
          {"max", {"max.u32 %r0, %r1, %r2;", 0x80}},
          {"neg", {"neg.s32 %r0, %r2;", 0xfffffffb}},
          {"abs", {"abs.s32 %r0, -9;", 9}},
          {"sad", {"sad.u32 %r0, %r2, %r1, 1;", 0x7c}},
          {"dp4a", {"dp4a.u32.u32 %r0, 0x01020304, 0x01010101, %r2;", 15}},
          {"fma", {in_float("fma.rn.f32", "%f1, %f2, %f1"), bits(6)}},
          {"ex2", {in_float("ex2.approx.f32", "%f1"), bits(16)}},
          {"lg2", {in_float("lg2.approx.f32", "%f1"), bits(2)}},
          {"rcp", {in_float("rcp.rn.f32", "%f1"), bits(0.25f)}},
          {"rsqrt", {in_float("rsqrt.approx.f32", "%f1"), bits(0.5f)}},
          {"sqrt", {in_float("sqrt.rn.f32", "%f1"), bits(2)}},
          {"sin", {in_float("sin.approx.f32", "0f00000000"), bits(0)}},
          {"cos", {in_float("cos.approx.f32", "0f00000000"), bits(1)}},
          {"tanh", {in_float("tanh.approx.f32", "0f42c80000"), bits(1)}},
          {"copysign", {in_float("copysign.f32", "0fbf800000, %f1"), bits(-4)}}};
}

std::map<std::string_view, Case> of_bits() {
  return {{"and", {"and.b32 %r0, %r2, 6;", 4}},
          {"or", {"or.b32 %r0, %r1, %r2;", 0x85}},
          {"xor", {"xor.b32 %r0, %r2, 3;", 6}},
          {"not", {"not.b32 %r0, %r2;", 0xfffffffa}},
          {"shl", {"shl.b32 %r0, %r2, 4;", 0x50}},
          {"shr", {"shr.u32 %r0, %r1, 3;", 0x10}},
          {"shf", {"shf.l.wrap.b32 %r0, 0x80000000, %r2, 1;", 11}},
          {"prmt", {"prmt.b32 %r0, 0x33221100, 0x77665544, 0x7531;", 0x77553311}},
          {"lop3", {"lop3.b32 %r0, 12, 10, 6, 0x96;", 0}},
          {"bfe", {"bfe.u32 %r0, 0xabcd1234, 8, 8;", 0x12}},
          {"bfi", {"bfi.b32 %r0, 3, %r1, 4, 4;", 0x30}},
          {"popc", {"popc.b32 %r0, %r2;", 2}},
          {"clz", {"clz.b32 %r0, %r1;", 24}},
          {"bfind", {"bfind.u32 %r0, %r1;", 7}},
          {"brev", {"brev.b32 %r0, %r2;", 0xa0000000}},
          {"setp", {"setp.lt.u32 %c0, %r2, %r1; selp.b32 %r0, 1, 2, %c0;", 1}},
          {"set", {"set.lt.u32.u32 %r0, %r2, %r1;", 0xffffffff}},
          {"selp", {"setp.gt.u32 %c0, %r2, %r1; selp.b32 %r0, 1, 2, %c0;", 2}},
          {"slct", {"slct.b32.s32 %r0, 3, 4, -1;", 4}},
          {"cvt", {"cvt.rzi.u32.f32 %r0, 0f40b00000;", 5}},
          {"mov", {"mov.u32 %r0, %laneid;", 3}},
          {"cvta", {"cvta.shared.u64 %q1, %s; ld.u32 %r0, [%q1];", 7}},
          {"isspacep", {"isspacep.global %c0, %a; selp.b32 %r0, 1, 2, %c0;", 1}}};
}

std::map<std::string_view, Case> of_memory() {
  return {
      {"ld", {"ld.global.u32 %r0, [%a];", 7}},
      {"ldu", {"ldu.global.u32 %r0, [%a];", 7}},
      {"st", {"st.global.u32 [%a], 9; ld.global.u32 %r0, [%a];", 9}},
      {"membar", {"membar.gl; mov.u32 %r0, 1;", 1}},
      {"fence", {"fence.acq_rel.gpu; mov.u32 %r0, 1;", 1}},
      {"prefetch", {"prefetch.global.L2 [%a]; mov.u32 %r0, 1;", 1}},
      {"prefetchu", {"prefetchu.L1 [%a]; mov.u32 %r0, 1;", 1}},
      {"cp", {"cp.async.ca.shared.global [%r3], [%a], 4; cp.async.wait_all; ld.shared.u32 %r0, [%r3];", 7}},
      {"atom", {"atom.global.add.u32 %r0, [%a], 1;", 7}},
      {"red", {"red.global.max.u32 [%a], 20; ld.global.u32 %r0, [%a];", 20}}};
}

std::map<std::string_view, Case> of_warps() {
  return {
      {"shfl", {"shfl.sync.down.b32 %r0, %t, 2, 31, -1;", 5}},
      {"vote", {"setp.lt.u32 %c0, %t, 4; vote.sync.ballot.b32 %r0, %c0, -1;", 15}},
      {"match", {"and.b32 %r4, %t, 16; match.any.sync.b32 %r0, %r4, -1;", 0xffff}},
      {"redux", {"redux.sync.max.u32 %r0, %t, -1;", 31}},
      {"activemask", {"activemask.b32 %r0;", 0xffffffff}},
      {"ldmatrix", {"ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r0}, [s];", 7}},
      {"movmatrix", {"movmatrix.sync.aligned.m8n8.trans.b16 %r0, %r2;", 0x50005}},
      {"mma",
       {"mov.f32 %f0, 0f00000000; mov.b32 %r4, 0x3c003c00; mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
        "{%f0, %f3, %f3, %f3}, {%r4, %r4}, {%r4}, {%f0, %f0, %f0, %f0}; mov.b32 %r0, %f0;",
        bits(8)}},
      {"bra", {"mov.u32 %r0, 1; bra B; mov.u32 %r0, 2; B:", 1}},
      {"brx", {"mov.u32 %r0, 1; W: .branchtargets X, Y; brx.idx 1, W; X: mov.u32 %r0, 2; Y:", 1}},
      {"exit", {"mov.u32 %r0, 1; setp.gt.u32 %c0, %t, 3; @%c0 exit;", 1}},
      {"ret", {"mov.u32 %r0, 1; setp.gt.u32 %c0, %t, 3; @%c0 ret;", 1}},
      {"trap", {"mov.u32 %r0, 1; setp.gt.u32 %c0, %t, 99; @%c0 trap;", 1}},
      {"bar", {"setp.lt.u32 %c0, %t, 4; bar.red.popc.u32 %r0, 0, %c0;", 4}},
      {"barrier", {"mov.u32 %r0, 1; barrier.cta.sync.aligned 0;", 1}},
      {"nanosleep", {"nanosleep.u32 20; mov.u32 %r0, 1;", 1}},
      {"brkpt", {"brkpt; mov.u32 %r0, 1;", 1}},
      {"pmevent", {"pmevent 1; mov.u32 %r0, 1;", 1}}};
}

uint32_t answer(const std::string& text) {
  Device device(
      kernel(".reg .b64 %s; mov.u64 %s, s; mov.u32 %r3, s; mov.u32 %r1, 0x80; mov.u32 %r2, 5; "
             "mov.f32 %f1, 0f40800000; mov.f32 %f2, 0f3f000000;\n"
             "setp.lt.u32 %c3, %t, 128; shl.b32 %r4, %t, 2; add.u32 %r3, %r3, %r4; cvt.u64.u32 %q2, "
             "%r4; add.s64 %s, %s, %q2; st.shared.u32 [%r3], 7; bar.sync 0;\n" +
                 text + "\nst.global.u32 [%a+128], %r0;",
             kShared));
  const uint64_t data = device.upload(std::vector<uint32_t>(64, 7));
  CHECK(run(device, data).text() == "");
  return device.download<uint32_t>(data + 128, 4)[3];
}

}  // namespace

TEST_CASE("every instruction that the emulated GPU knows gives its answer", "[emulator]") {
  std::map<std::string_view, Case> cases = arithmetic();
  for (auto& part : {of_bits(), of_memory(), of_warps()}) cases.insert(part.begin(), part.end());
  std::vector<std::string_view> covered;
  for (const auto& [name, one] : cases) {
    INFO(name << ": " << one.text);
    REQUIRE_THAT(" " + one.text, contains(str(" ", name)));
    CHECK(format_hex64(answer(one.text)) == format_hex64(one.expected));
    covered.push_back(name);
  }
  CHECK(covered == emulator::operation_names());
  CHECK(covered.size() == 73);
}
