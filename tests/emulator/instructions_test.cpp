// Known answers of single instructions: each case is a scope of one kernel that stores its result.
#include "device.hpp"

using namespace gristmill;
using namespace gristmill::test;

namespace {

struct Value {
  int bits;
  uint64_t value;
};

struct Case {
  std::string op;
  int result_bits;
  std::vector<Value> operands;
  uint64_t expected;
};

std::string immediate(uint64_t value) { return "0x" + format_hex64(value); }

std::string kernel_of(const std::vector<Case>& cases) {
  std::string text =
      ".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 out)\n{\n.reg .b64 "
      "%out;\n"
      "ld.param.u64 %out, [out];\n";
  for (size_t i = 0; i < cases.size(); ++i) {
    const Case& one = cases[i];
    std::string declare = str("{ .reg .b", one.result_bits, " d; "), set, arguments = "d";
    for (size_t k = 0; k < one.operands.size(); ++k) {
      const Value& operand = one.operands[k];
      const std::string name = str("a", k);
      if (operand.bits == 0) {  // an immediate of the instruction itself
        arguments += str(", ", operand.value);
        continue;
      }
      declare +=
          operand.bits == 1 ? str(".reg .pred ", name, "; ") : str(".reg .b", operand.bits, " ", name, "; ");
      set += operand.bits == 1 ? str("setp.ne.u32 ", name, ", ", operand.value, ", 0; ")
                               : str("mov.b", operand.bits, " ", name, ", ", immediate(operand.value), "; ");
      arguments += ", " + name;
    }
    text += declare + set + one.op + " " + arguments +
            str("; st.global.b", one.result_bits, " [%out+", 8 * i, "], d; }\n");
  }
  return text + "ret;\n}\n";
}

void check_all(const std::vector<Case>& cases) {
  Device device(kernel_of(cases));
  const uint64_t out = device.upload(std::vector<uint64_t>(cases.size(), 0));
  const Report report = device.run("k", {1}, {1}, out);
  CHECK(report.text() == "");
  const auto results = device.download<uint64_t>(out, cases.size());
  for (size_t i = 0; i < cases.size(); ++i) {
    INFO(cases[i].op << " case " << i);
    CHECK(format_hex64(results[i]) == format_hex64(cases[i].expected));
  }
}

uint64_t f(float x) { return std::bit_cast<uint32_t>(x); }
uint64_t d(double x) { return std::bit_cast<uint64_t>(x); }
Value f32(float x) { return {32, f(x)}; }
Value f64(double x) { return {64, d(x)}; }
constexpr float kTiny = 1e-40f;  // subnormal
const float kNaN = std::bit_cast<float>(0x7fffffffu), kInf = std::numeric_limits<float>::infinity();

}  // namespace

TEST_CASE("integer arithmetic wraps, widens and keeps signs", "[emulator]") {
  check_all({{"add.s32", 32, {{32, 0x7fffffff}, {32, 1}}, 0x80000000},
             {"add.u16", 16, {{16, 0xffff}, {16, 2}}, 1},
             {"sub.s64", 64, {{64, 0}, {64, 1}}, ~uint64_t{0}},
             {"mul.lo.u16", 16, {{16, 0xffff}, {16, 0xffff}}, 1},
             {"mul.lo.s32", 32, {{32, 0xffffffff}, {32, 7}}, 0xfffffff9},
             {"mul.hi.u32", 32, {{32, 0xffffffff}, {32, 0xffffffff}}, 0xfffffffe},
             {"mul.hi.s32", 32, {{32, 0xffffffff}, {32, 5}}, 0xffffffff},
             {"mul.hi.u64", 64, {{64, ~uint64_t{0}}, {64, ~uint64_t{0}}}, ~uint64_t{0} - 1},
             {"mul.wide.s32", 64, {{32, 0xffffffff}, {32, 3}}, ~uint64_t{0} - 2},
             {"mul.wide.u32", 64, {{32, 0xffffffff}, {32, 2}}, 0x1fffffffe},
             {"mul.wide.u16", 32, {{16, 0xffff}, {16, 0xffff}}, 0xfffe0001},
             {"mad.lo.s32", 32, {{32, 3}, {32, 4}, {32, 5}}, 17},
             {"mad.wide.u32", 64, {{32, 0x80000000}, {32, 2}, {64, 1}}, 0x100000001},
             {"mad.hi.u32", 32, {{32, 0x80000000}, {32, 4}, {32, 1}}, 3},
             {"div.s32", 32, {{32, 0xfffffff9}, {32, 2}}, 0xfffffffd},
             {"div.s32", 32, {{32, 0x80000000}, {32, 0xffffffff}}, 0x80000000},
             {"rem.s32", 32, {{32, 0xfffffff9}, {32, 2}}, 0xffffffff},
             {"rem.u64", 64, {{64, 100}, {64, 7}}, 2},
             {"min.s32", 32, {{32, 0xffffffff}, {32, 1}}, 0xffffffff},
             {"min.u32", 32, {{32, 0xffffffff}, {32, 1}}, 1},
             {"max.s64", 64, {{64, ~uint64_t{0}}, {64, 1}}, 1},
             {"neg.s32", 32, {{32, 5}}, 0xfffffffb},
             {"abs.s32", 32, {{32, 0xfffffffb}}, 5},
             {"sad.s32", 32, {{32, 0xffffffff}, {32, 4}, {32, 10}}, 15},
             {"sad.u64", 64, {{64, 9}, {64, 4}, {64, 1}}, 6},
             {"dp4a.s32.s32", 32, {{32, 0xff020304}, {32, 0x01010101}, {32, 10}}, 18},
             {"dp4a.u32.u32", 32, {{32, 0xff020304}, {32, 0x01010101}, {32, 10}}, 274}});
}

TEST_CASE("bits are shifted, counted, permuted and combined", "[emulator]") {
  check_all({{"shl.b32", 32, {{32, 1}, {32, 31}}, 0x80000000},
             {"shl.b32", 32, {{32, 1}, {32, 32}}, 0},
             {"shr.s32", 32, {{32, 0x80000000}, {32, 40}}, 0xffffffff},
             {"shr.u64", 64, {{64, uint64_t{1} << 63}, {32, 63}}, 1},
             {"shr.s16", 16, {{16, 0x8000}, {32, 4}}, 0xf800},
             {"shf.l.wrap.b32", 32, {{32, 0x80000000}, {32, 1}, {32, 33}}, 3},
             {"shf.r.clamp.b32", 32, {{32, 5}, {32, 7}, {32, 40}}, 7},
             {"prmt.b32", 32, {{32, 0x33221100}, {32, 0x77665544}, {32, 0x7531}}, 0x77553311},
             {"prmt.b32", 32, {{32, 0x00008000}, {32, 0}, {32, 0x999a}}, 0xffffff00},
             {"lop3.b32", 32, {{32, 0xf0f0f0f0}, {32, 0xcccccccc}, {32, 0xaaaaaaaa}, {0, 0x96}}, 0x96969696},
             {"bfe.u32", 32, {{32, 0xabcd1234}, {32, 8}, {32, 8}}, 0x12},
             {"bfe.s32", 32, {{32, 0x0000f000}, {32, 12}, {32, 4}}, 0xffffffff},
             {"bfe.s32", 32, {{32, 0x80000000}, {32, 28}, {32, 16}}, 0xfffffff8},
             {"bfe.u64", 64, {{64, 0xabcd123400000000}, {32, 40}, {32, 8}}, 0x12},
             {"bfi.b32", 32, {{32, 0x3}, {32, 0xffff0000}, {32, 4}, {32, 4}}, 0xffff0030},
             {"bfi.b64", 64, {{64, 0xff}, {64, 0}, {32, 60}, {32, 8}}, 0xf000000000000000},
             {"popc.b64", 32, {{64, 0xff00ff}}, 16},
             {"clz.b32", 32, {{32, 1}}, 31},
             {"clz.b64", 32, {{64, 0}}, 64},
             {"bfind.u32", 32, {{32, 0x100}}, 8},
             {"bfind.s32", 32, {{32, 0xffffffff}}, 0xffffffff},
             {"bfind.shiftamt.u32", 32, {{32, 0x100}}, 23},
             {"brev.b32", 32, {{32, 1}}, 0x80000000},
             {"brev.b64", 64, {{64, 2}}, uint64_t{1} << 62},
             {"and.b16", 16, {{16, 0xff0f}, {16, 0x0fff}}, 0x0f0f},
             {"xor.b64", 64, {{64, 5}, {64, 3}}, 6},
             {"not.b32", 32, {{32, 0}}, 0xffffffff}});
}

TEST_CASE("floating-point arithmetic rounds once and in the direction asked for", "[emulator]") {
  const float third = 1.0f / 3;
  check_all({{"add.f32", 32, {f32(1), f32(0x1p-24f)}, f(1)},
             {"add.rp.f32", 32, {f32(1), f32(0x1p-60f)}, f(0x1.000002p0f)},
             {"add.rz.f32", 32, {f32(-1), f32(-0x1p-24f)}, f(-1)},
             {"add.rm.f32", 32, {f32(-1), f32(-0x1p-40f)}, f(-0x1.000002p0f)},
             {"sub.f32", 32, {f32(kInf), f32(kInf)}, 0x7fffffff},
             {"mul.rz.f32", 32, {f32(third), f32(third)}, f(0x1.c71c72p-4f)},
             {"mul.f32", 32, {f32(kTiny), f32(0.5f)}, f(kTiny / 2)},
             {"mul.ftz.f32", 32, {f32(kTiny), f32(2)}, 0},
             {"mul.sat.f32", 32, {f32(3), f32(2)}, f(1)},
             {"fma.rn.f32", 32, {f32(0x1.000002p0f), f32(0x1.000002p0f), f32(-0x1.000004p0f)}, f(0x1p-46f)},
             {"fma.rm.f32", 32, {f32(1), f32(1), f32(-0x1p-70f)}, f(0x1.fffffep-1f)},
             {"fma.rp.f32", 32, {f32(0x1.000002p0f), f32(0x1.000002p0f), f32(1)}, f(0x1.000004p1f)},
             {"fma.rn.sat.f32", 32, {f32(1), f32(1), f32(-2)}, 0},
             {"fma.rn.f64",
              64,
              {f64(0x1.0000000000001p0), f64(0x1.0000000000001p0), f64(-1)},
              d(0x1.00000000000008p-51)},
             {"div.rn.f32", 32, {f32(1), f32(3)}, f(third)},
             {"div.full.f32", 32, {f32(1), f32(0)}, f(kInf)},
             {"min.f32", 32, {f32(kNaN), f32(2)}, f(2)},
             {"max.f32", 32, {f32(-0.0f), f32(0.0f)}, 0},
             {"min.f32", 32, {f32(0.0f), f32(-0.0f)}, 0x80000000},
             {"max.NaN.f32", 32, {f32(kNaN), f32(2)}, 0x7fffffff},
             {"neg.f32", 32, {f32(2)}, f(-2)},
             {"abs.f64", 64, {f64(-3)}, d(3)},
             {"sqrt.rn.f32", 32, {f32(2)}, f(std::sqrt(2.0f))},
             {"rsqrt.approx.f32", 32, {f32(4)}, f(0.5f)},
             {"rcp.approx.ftz.f32", 32, {f32(kTiny)}, f(kInf)},
             {"ex2.approx.f32", 32, {f32(-3)}, f(0.125f)},
             {"lg2.approx.f32", 32, {f32(0)}, f(-kInf)},
             {"sin.approx.f32", 32, {f32(0)}, 0},
             {"cos.approx.f32", 32, {f32(0)}, f(1)},
             {"tanh.approx.f32", 32, {f32(100)}, f(1)},
             {"copysign.f32", 32, {f32(-1), f32(5)}, f(-5)}});
}

TEST_CASE("numbers of 16 bits are rounded once", "[emulator]") {
  // 1 + 2^-8 in bf16 is a tie; a fused sum sees the rest that a separate product would lose.
  check_all({{"add.bf16", 16, {{16, 0x3f80}, {16, 0x3b80}}, 0x3f80},
             {"fma.rn.bf16", 16, {{16, 0x3f81}, {16, 0x3f81}, {16, 0xbf82}}, 0x3880},
             {"fma.rn.bf16x2", 32, {{32, 0x3f804000}, {32, 0x40004000}, {32, 0x00003f80}}, 0x400040a0},
             {"fma.rn.relu.f16", 16, {{16, 0x3c00}, {16, 0xbc00}, {16, 0}}, 0},
             {"mul.f16x2", 32, {{32, 0x3c004000}, {32, 0x40004000}}, 0x40004400},
             {"add.f16", 16, {{16, 0x7bff}, {16, 0x7bff}}, 0x7c00},
             {"sub.f16", 16, {{16, 0x0001}, {16, 0x0002}}, 0x8001},
             {"max.bf16", 16, {{16, 0xffff}, {16, 0x3f80}}, 0x3f80},
             {"min.NaN.f16x2", 32, {{32, 0x7e003c00}, {32, 0x3c004000}}, 0x7fff3c00},
             {"set.gt.f16x2.f16x2", 32, {{32, 0x40003c00}, {32, 0x3c004000}}, 0x3c000000},
             {"set.eq.u32.bf16x2", 32, {{32, 0x40003f80}, {32, 0x3c003f80}}, 0x0000ffff},
             {"neg.bf16x2", 32, {{32, 0x3f80bf80}}, 0xbf803f80},
             {"abs.f16x2", 32, {{32, 0xbc003c00}}, 0x3c003c00},
             {"ex2.approx.ftz.bf16x2", 32, {{32, 0x3f800000}}, 0x40003f80},
             {"tanh.approx.f16", 16, {{16, 0x7c00}}, 0x3c00}});
}

TEST_CASE("conversions round, saturate and keep what fits", "[emulator]") {
  check_all({{"cvt.s64.s32", 64, {{32, 0xffffffff}}, ~uint64_t{0}},
             {"cvt.u64.u32", 64, {{32, 0xffffffff}}, 0xffffffff},
             {"cvt.u32.u64", 32, {{64, 0x123456789}}, 0x23456789},
             {"cvt.s32.s8", 32, {{16, 0x12ff}}, 0xffffffff},
             {"cvt.u16.u8", 16, {{16, 0x12ff}}, 0xff},
             {"cvt.sat.s8.s32", 16, {{32, 1000}}, 127},
             {"cvt.sat.u8.s32", 16, {{32, 0xffffff00}}, 0},
             {"cvt.sat.u32.u64", 32, {{64, uint64_t{1} << 40}}, 0xffffffff},
             {"cvt.rn.f32.s32", 32, {{32, 0x01000001}}, f(16777216)},
             {"cvt.rp.f32.u32", 32, {{32, 0x01000001}}, f(16777218)},
             {"cvt.rn.f32.u64", 32, {{64, 0x8000008000000001}}, f(0x1.000002p63f)},
             {"cvt.rn.f64.s64", 64, {{64, ~uint64_t{0}}}, d(-1)},
             {"cvt.rzi.s32.f32", 32, {f32(-1.9f)}, 0xffffffff},
             {"cvt.rni.s32.f32", 32, {f32(2.5f)}, 2},
             {"cvt.rmi.s32.f32", 32, {f32(-1.1f)}, 0xfffffffe},
             {"cvt.rpi.u32.f32", 32, {f32(-5)}, 0},
             {"cvt.rzi.s32.f32", 32, {f32(1e20f)}, 0x7fffffff},
             {"cvt.rzi.s32.f32", 32, {f32(kNaN)}, 0},
             {"cvt.rzi.u64.f64", 64, {f64(1e300)}, ~uint64_t{0}},
             {"cvt.rni.f32.f32", 32, {f32(3.5f)}, f(4)},
             {"cvt.rmi.f32.f32", 32, {f32(-0.5f)}, f(-1)},
             {"cvt.sat.f32.f32", 32, {f32(-0.5f)}, 0},
             {"cvt.rn.f32.f64", 32, {f64(1 + 0x1p-24)}, f(1)},
             {"cvt.rz.f32.f64", 32, {f64(1e300)}, f(std::numeric_limits<float>::max())},
             {"cvt.f64.f32", 64, {f32(0.1f)}, d(0.1f)},
             {"cvt.rn.bf16.f32", 16, {f32(0x1.01p0f)}, 0x3f80},
             {"cvt.rn.bf16.f32", 16, {f32(0x1.03p0f)}, 0x3f82},
             {"cvt.rz.bf16.f32", 16, {f32(0x1.03p0f)}, 0x3f81},
             {"cvt.rn.relu.bf16.f32", 16, {f32(-2)}, 0},
             {"cvt.rn.f16.f32", 16, {f32(65520)}, 0x7c00},
             {"cvt.rn.f16.f32", 16, {f32(0x1p-25f)}, 0},
             {"cvt.rn.f16.f32", 16, {f32(0x1.8p-25f)}, 1},
             {"cvt.f32.f16", 32, {{16, 0x0001}}, f(0x1p-24f)},
             {"cvt.f32.bf16", 32, {{16, 0xc040}}, f(-3)},
             {"cvt.rn.bf16x2.f32", 32, {f32(1), f32(2)}, 0x3f804000},
             {"cvt.rn.f16x2.f32", 32, {f32(1), f32(2)}, 0x3c004000},
             {"cvt.rna.tf32.f32", 32, {f32(0x1.002p0f)}, f(0x1.004p0f)},
             {"cvt.rn.f16.s32", 16, {{32, 3}}, 0x4200}});
}

TEST_CASE("comparisons know NaN, and selections follow", "[emulator]") {
  const auto choose = [](const std::string& compare, const std::string& type, const std::string& a,
                         const std::string& b) {
    return str("{ .reg .pred p; .reg .b32 d; setp.", compare, ".", type, " p, ", a, ", ", b,
               "; selp.b32 d, 1, 0, p; ");
  };
  const std::string nan = "0f7fffffff", one = "0f3f800000", two = "0f40000000";
  const std::vector<std::tuple<std::string, uint32_t>> cases = {
      {choose("lt", "f32", one, two), 1},
      {choose("lt", "f32", one, nan), 0},
      {choose("ltu", "f32", one, nan), 1},
      {choose("ne", "f32", one, nan), 0},
      {choose("neu", "f32", one, nan), 1},
      {choose("num", "f32", one, two), 1},
      {choose("nan", "f32", nan, two), 1},
      {choose("eq", "f32", "0f80000000", "0f00000000"), 1},
      {choose("lt", "s32", "-1", "0"), 1},
      {choose("lt", "u32", "-1", "0"), 0},
      {choose("hi", "u32", "-1", "0"), 1},
      {choose("ge", "s64", "-5", "-5"), 1},
      {choose("le", "u16", "65535", "1"), 0},
      {"{ .reg .pred p, q, r; .reg .b32 d; setp.eq.s32 r, 1, 1; setp.lt.and.s32 p|q, 1, 2, !r; selp.b32 d, "
       "1, 0, p; ",
       0},
      {"{ .reg .pred p, q, r; .reg .b32 d; setp.eq.s32 r, 1, 1; setp.lt.or.s32 p|q, 2, 1, r; selp.b32 d, 1, "
       "0, q; ",
       1},
      {"{ .reg .b32 d; set.lt.u32.s32 d, 1, 2; ", 0xffffffff},
      {"{ .reg .b32 d; set.lt.f32.s32 d, 1, 2; ", 0x3f800000},
      {"{ .reg .b32 d; slct.b32.s32 d, 3, 4, -1; ", 4},
      {"{ .reg .pred p, q; .reg .b32 d; setp.eq.s32 p, 1, 1; not.pred q, p; xor.pred q, q, p; @!q mov.b32 d, "
       "7; @q mov.b32 d, 9; ",
       9}};
  std::string text =
      ".version 8.0\n.target sm_80\n.address_size 64\n.entry k(.param .u64 out) {\n.reg .b64 %out;\n"
      "ld.param.u64 %out, [out];\n";
  for (size_t i = 0; i < cases.size(); ++i)
    text += std::get<0>(cases[i]) + str("st.global.b32 [%out+", 4 * i, "], d; }\n");
  Device device(text + "ret; }");
  const uint64_t out = device.memory.allocate(4 * cases.size());
  CHECK(device.run("k", {1}, {1}, out).text() == "");
  const auto results = device.download<uint32_t>(out, cases.size());
  for (size_t i = 0; i < cases.size(); ++i) {
    INFO(std::get<0>(cases[i]));
    CHECK(results[i] == std::get<1>(cases[i]));
  }
}

TEST_CASE("vectors are packed and unpacked", "[emulator]") {
  Device device(R"(.version 8.0
.target sm_80
.address_size 64
.entry k(.param .u64 out) {
  .reg .b64 %out, %x, %y; .reg .b32 %a, %b; .reg .b16 %h<4>;
  ld.param.u64 %out, [out];
  mov.b64 %x, 0x1122334455667788;
  mov.b64 {%a, %b}, %x;
  mov.b64 {%h0, %h1, %h2, %h3}, %x;
  mov.b64 %y, {%b, %a};
  st.global.b64 [%out], %y;
  mov.b32 %a, {%h3, 0};
  st.global.v2.b32 [%out+8], {%a, %b};
  mov.b64 {_, %a}, %x;
  st.global.b32 [%out+16], %a;
  st.global.v4.b16 [%out+24], {%h3, %h2, %h1, %h0};
})");
  const uint64_t out = device.memory.allocate(32);
  CHECK(device.run("k", {1}, {1}, out).text() == "");
  CHECK(device.download<uint64_t>(out, 1)[0] == 0x5566778811223344u);
  CHECK(device.download<uint32_t>(out + 8, 3) == std::vector<uint32_t>{0x1122, 0x11223344, 0x11223344});
  CHECK(device.download<uint16_t>(out + 24, 4) == std::vector<uint16_t>{0x1122, 0x3344, 0x5566, 0x7788});
}

TEST_CASE("numbers beyond 2^53 are rounded once, and an exact zero has the sign of its rounding",
          "[emulator]") {
  const uint64_t odd = (uint64_t{1} << 53) + 1;
  check_all({{"cvt.rn.f64.u64", 64, {{64, odd}}, d(0x1p53)},
             {"cvt.rn.f64.u64", 64, {{64, odd + 2}}, d(0x1p53 + 4)},
             {"cvt.rn.f64.s64", 64, {{64, odd}}, d(0x1p53)},
             {"cvt.rn.f64.s64", 64, {{64, 0 - odd}}, d(-0x1p53)},
             {"cvt.rn.f64.u64", 64, {{64, ~uint64_t{0}}}, d(0x1p64)},
             {"cvt.rn.f64.s32", 64, {{32, 0xfffffffb}}, d(-5)},
             {"add.rm.f32", 32, {f32(1), f32(-1)}, f(-0.0f)},
             {"add.rm.f32", 32, {f32(0), f32(-0.0f)}, f(-0.0f)},
             {"add.rm.f32", 32, {f32(0), f32(0)}, f(0)},
             {"add.rz.f32", 32, {f32(1), f32(-1)}, f(0)},
             {"add.rp.f32", 32, {f32(-0.0f), f32(-0.0f)}, f(-0.0f)},
             {"sub.rm.f32", 32, {f32(3), f32(3)}, f(-0.0f)},
             {"sub.rm.f32", 32, {f32(0), f32(-0.0f)}, f(0)},
             {"fma.rm.f32", 32, {f32(2), f32(3), f32(-6)}, f(-0.0f)},
             {"fma.rm.f32", 32, {f32(0), f32(3), f32(0)}, f(0)}});
}

TEST_CASE("a name inside a vector is a name that the kernel uses", "[emulator]") {
  Device device(
      ".version 8.0\n.target sm_90\n.address_size 64\n.shared .b8 s[16];\n.entry k(.param .u64 out) {\n.reg "
      ".b64 %a; .reg .b32 %r1;\nld.param.u64 %a, [out]; mov.u32 %r1, 7; st.global.v2.u32 [%a], {s, %r1}; "
      "ret; }\n");
  const uint64_t out = device.memory.allocate(8);
  CHECK(device.run("k", {1}, {1}, out).text() == "");
  CHECK(device.download<uint32_t>(out, 2) == std::vector<uint32_t>{1024, 7});
}
