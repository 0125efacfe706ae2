// Damaged and foreign PTX: an Error with line and instruction, never a crash.
#include <cstring>

#include "base/error.hpp"
#include "device.hpp"
#include "emulator/ptx/lexer.hpp"

using namespace gristmill;
using namespace gristmill::test;

namespace {

const std::string kHead = ".version 8.0\n.target sm_80\n.address_size 64\n";

std::string refusal(const std::string& ptx) {
  emulator::Memory memory;
  try {
    const emulator::Module module(memory, ptx, "bad.ptx");
  } catch (const Error& error) {
    CHECK(error.kind() == Kind::input);
    CHECK(memory.bytes_in_use() == 0);
    return error.what();
  }
  return "accepted";
}

std::string body(const std::string& text) {
  return kHead +
         ".entry k(.param .u64 p)\n{ .reg .b32 %r<4>; .reg .b64 %q<4>; .reg .pred %c; .reg .b16 %h;\n" +
         text + "\n}";
}

}  // namespace

TEST_CASE("PTX that is damaged is refused with its line", "[emulator]") {
  CHECK_THAT(refusal(""), contains(".version"));
  CHECK_THAT(refusal(".version 8.0"), contains(".target"));
  CHECK_THAT(refusal(kHead + "?"), contains("line 4: unexpected character"));
  CHECK_THAT(refusal(kHead + "/* no end"), contains("a comment has no end"));
  CHECK_THAT(refusal(kHead + ".entry"), contains("a kernel's name"));
  CHECK_THAT(refusal(kHead + ".entry k(.param .u64 p"), contains("expected"));
  CHECK_THAT(refusal(kHead + ".entry k() {"), contains("a kernel has no end"));
  CHECK_THAT(refusal(kHead + ".entry k() .cluster 2 {}"), contains("not supported"));
  CHECK_THAT(refusal(kHead + ".address_size 32"), contains("64 bits"));
  CHECK_THAT(refusal(kHead + ".global .b8 big[99999999999];"), contains("larger than"));
  CHECK_THAT(refusal(kHead + ".global .b8 big[1073741824][1073741824];"), contains("1 GiB"));
  CHECK_THAT(refusal(kHead + ".global .align 3 .b8 x;"), contains("power of two"));
  CHECK_THAT(refusal(kHead + ".global .b32 x[2] = {1, 2, 3};"), contains("more values"));
  CHECK_THAT(refusal(kHead + ".extern .global .b32 x;"), contains("no linker"));
  CHECK_THAT(refusal(kHead + "." + std::string(5000, 'a')), contains("more than 4096"));
  CHECK_THAT(refusal(body(std::string(200, '{'))), contains("nested too deeply"));
  CHECK_THAT(refusal(body(".reg .b32 %x<99999999>;")), contains("larger than"));
  CHECK_THAT(refusal(body(".reg .b32 %x<1000000>; .reg .b32 %y<1000000>;")), contains("too many registers"));
  CHECK_THAT(refusal(body(".reg .b32 %r<4>;")), contains("declared twice"));
  CHECK_THAT(refusal(body(".shared .b8 s[300000];")), contains("more than"));
  CHECK_THAT(refusal(body("bra NOWHERE;")), contains("no label"));
  CHECK_THAT(refusal(body("A: A: ret;")), contains("stands twice"));
  CHECK_THAT(refusal(body("{ A: ret; } bra A;")), contains("no label"));
}

TEST_CASE("instructions that mean nothing here are refused with their text", "[emulator]") {
  CHECK_THAT(refusal(body("ret;\nfrobnicate.b32 %r0, %r1;")),
             contains("line 7: \"frobnicate.b32 %r0, %r1\": unknown"));
  CHECK_THAT(refusal(body("add.s32.fancy %r0, %r1, %r2;")), contains("a type is missing"));
  CHECK_THAT(refusal(body("add.cc.u32 %r0, %r1, %r2;")), contains(".cc is not supported"));
  CHECK_THAT(refusal(body("add.s32 %r0, %r1;")), contains("2 operands"));
  CHECK_THAT(refusal(body("add.s32 %r0, %r1, %q0;")), contains("has 64 bits"));
  CHECK_THAT(refusal(body("add.s32 %r0, %r1, %r9;")), contains("\"%r9\" is not declared"));
  CHECK_THAT(refusal(body("add.s32 5, %r1, %r2;")), contains("must be a register"));
  CHECK_THAT(refusal(body("add.s32 %r0, %r1, [%q0];")), contains("cannot stand here"));
  CHECK_THAT(refusal(body("@%r0 ret;")), contains("no predicate"));
  CHECK_THAT(refusal(body("mov.u32 %r0, unknown;")), contains("not declared"));
  CHECK_THAT(
      refusal(body(
          "ld.global.v4.b64 {%q0, %q1, %q2, %q3}, [%q0]; ld.shared.v4.b64 {%q0, %q1, %q2, %q3}, [%q0];")),
      contains("more than 16 bytes"));
  CHECK_THAT(refusal(body("ld.global.v2.b32 {%r0}, [%q0];")), contains("vector's size"));
  CHECK_THAT(refusal(body("ld.global.b32 %h, [%q0];")), contains("too narrow"));
  CHECK_THAT(refusal(body("st.param.b32 [p], %r0;")), contains("read-only"));
  CHECK_THAT(refusal(body("mov.b64 %q0, {%r0, %r1, %r2};")), contains("does not fit"));
  CHECK_THAT(refusal(body("cvt.s32.f32 %r0, %r1;")), contains("rounding"));
  CHECK_THAT(refusal(body("setp.ltu.s32 %c, %r0, %r1;")), contains("floating-point"));
  CHECK_THAT(refusal(body("cp.async.cg.shared.global [%r0], [%q0], 8;")), contains("16 bytes"));
  CHECK_THAT(refusal(body("mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f32 {%r0}, {%r0}, {%r0}, {%r0};")),
             contains("supported are"));
  CHECK_THAT(refusal(body("call foo, (%r0);")), contains("expected"));
  CHECK_THAT(refusal(body("brx.idx %r0, L; L: ret;")), contains("no table"));
  CHECK_THAT(refusal(body("mov.f32 %r0, 0f123;")), contains("damaged"));
  CHECK_THAT(refusal(body("mov.b16 %h, 0f3F800000;")), contains("floating-point"));
  CHECK_THAT(refusal(body("cvt.rz.f64.s64 %q0, %q1;")), contains("f64"));
  CHECK_THAT(refusal(body("cvt.rm.f64.u64 %q0, %q1;")), contains("f64"));
  CHECK_THAT(refusal(body("cvt.rp.f64.f32 %q0, %r1;")), contains("f64"));
  CHECK_THAT(refusal(body("wgmma.fence.sync.aligned;")), contains("unsupported"));
}

TEST_CASE("labels and tables of targets are different things", "[emulator]") {
  std::string tables;
  for (int i = 0; i < 100; ++i) tables += str("T", i, ": .branchtargets A;\n");
  CHECK_THAT(refusal(body("A: ret;\n" + tables + "bra T99;")), contains("no label \"T99\""));
  CHECK_THAT(refusal(body("A: ret; T: .branchtargets A; U: .branchtargets A, T; brx.idx %r0, U;")),
             contains("no label \"T\""));
  CHECK_THAT(refusal(body("A: ret; B: ret; T: .branchtargets A; brx.idx %r0, A;")),
             contains("no table of targets \"A\""));
  CHECK_THAT(refusal(body("A: ret; A: .branchtargets A;")), contains("stands twice"));
  CHECK_THAT(refusal(body("A: ret; T: .branchtargets A; T: ret;")), contains("stands twice"));
  // The nearest name counts, whatever it is.
  CHECK_THAT(refusal(body("T: ret; { A: ret; T: .branchtargets A; bra T; }")), contains("no label \"T\""));
  CHECK(refusal(body("A: ret; T: .branchtargets A, B; { brx.idx %r0, T; } B: ret;")) == "accepted");
}

TEST_CASE("a short text takes little memory and time of the host", "[emulator]") {
  CHECK_THAT(refusal(kHead + std::string(size_t{17} << 20, ' ')), contains("16 MiB"));
  std::string variables;
  for (int i = 0; i < 5; ++i) variables += str(".global .b8 big", i, "[1073741824];\n");
  CHECK_THAT(refusal(kHead + variables), contains("4 GiB"));
  std::string kernels;
  for (int i = 0; i < 20; ++i) kernels += str(".entry k", i, "() { .reg .b32 %r<1000000>; }\n");
  CHECK_THAT(refusal(kHead + kernels), contains("too many registers"));
}

TEST_CASE("many jumps through one long table are as many edges as both together", "[emulator]") {
  std::string text = "A: ret;\nT: .branchtargets A";
  for (int i = 1; i < 60000; ++i) text += ",A";
  text += ";\n";
  for (int i = 0; i < 60000; ++i) text += "brx.idx %r0, T;\n";
  CHECK(refusal(body(text)) == "accepted");
}

TEST_CASE("code that runs from its end to its beginning is decoded at once", "[emulator]") {
  std::string text = "bra L60000; L0: mov.u32 %r1, %r0; ret;\n";
  for (int i = 1; i <= 60000; ++i) text += str("L", i, ": bra L", i - 1, ";\n");
  CHECK(refusal(body("mov.u32 %r0, 1;\n" + text)) == "accepted");
}

TEST_CASE("many kernels with many variables are decoded at once", "[emulator]") {
  std::string text;
  for (int i = 0; i < 10000; ++i) text += str(".global .b8 g", i, ";\n.shared .b8 s", i, ";\n");
  for (int i = 0; i < 10000; ++i) text += str(".entry k", i, "() { ret; }\n");
  CHECK(refusal(kHead + text) == "accepted");
}

TEST_CASE("rows of an initialiser are whole", "[emulator]") {
  CHECK_THAT(refusal(kHead + ".global .u32 x[2][2] = {{1},{2,3}};"), contains("row"));
  CHECK_THAT(refusal(kHead + ".global .u32 x[2][2] = {1,{2,3}};"), contains("row"));
  CHECK_THAT(refusal(kHead + ".global .u32 x[2] = {{1},2};"), contains("braces"));
  CHECK_THAT(refusal(kHead + ".global .u32 x" +
                     [] {
                       std::string bounds;
                       for (int i = 0; i < 100; ++i) bounds += "[1]";
                       return bounds;
                     }() +
                     ";"),
             contains("bounds"));
  CHECK(refusal(kHead + ".global .u32 x[2][2] = {{1,2},{3,4}}, y[2][2] = {1,2,3}, z = 1, w[] = {1,2}, "
                        "v[3][2] = {{1,2}};\n.global .v2 .u32 u[2] = {{1,2},{3,4}};") == "accepted");
}

TEST_CASE("what debuggers and other tools write is passed over", "[emulator]") {
  CHECK(refusal(kHead + ".file 1 \"a.cu\"\n.visible .entry k() .minnctapersm 2 .pragma \"x\"; {\n.loc 1 2 "
                        "3\n.pragma \"nounroll\";\n"
                        "ret; // the end\n}\n.section .debug_str { .b8 1, 2; inner { } }\n"
                        ".extern .func (.param .b32 r) vprintf(.param .b64 a);\n.func f() { ret; }\n") ==
        "accepted");
}

TEST_CASE("a damaged kernel is refused or decoded, never more", "[emulator]") {
  const std::string good = read_file(std::string(GRISTMILL_TESTDATA) + "/emulator/gemm.ptx");
  CHECK(refusal(good) == "accepted");
  Rng rng(3, stream_of(RandomStream::test));
  int refused = 0;
  for (int i = 0; i < 150; ++i) {
    std::string text = good;
    const size_t at = rng.below(text.size());
    switch (i % 4) {
      case 0:
        text.resize(at);
        break;
      case 1:
        text[at] = static_cast<char>(rng.below(256));
        break;
      case 2:
        text.erase(at, 1 + rng.below(20));
        break;
      default:
        text.insert(at, good.substr(rng.below(good.size()), 1 + rng.below(40)));
    }
    refused += refusal(text) == "accepted" ? 0 : 1;
  }
  CHECK(refused > 50);
}

TEST_CASE("a kernel whose words are mixed up runs into faults, not into the host", "[emulator]") {
  const std::string good = read_file(std::string(GRISTMILL_TESTDATA) + "/emulator/attention.ptx");
  std::vector<std::string_view> words;
  for (const auto& token : emulator::tokenize(good)) {
    if (token.kind == emulator::Token::Kind::word) words.push_back(token.text);
  }
  Rng rng(4, stream_of(RandomStream::test));
  int ran = 0;
  for (int i = 0; i < 100; ++i) {
    std::string text = good;
    for (int change = 0; change < 3; ++change) {
      const std::string_view from = words[rng.below(words.size())], to = words[rng.below(words.size())];
      const size_t at = text.find(from, static_cast<size_t>(from.data() - good.data()) / 2);
      if (at != std::string::npos && from[0] == to[0]) text.replace(at, from.size(), to);
    }
    if (refusal(text) != "accepted") continue;
    Device device(text);
    device.options.max_instructions = 5000;
    device.options.seed = static_cast<uint64_t>(i);
    device.dynamic_shared = 3 * 64 * 72 * 2;
    const auto& kernel = device.module->kernels().front();
    const uint64_t data = device.upload(std::vector<uint64_t>(4096, 0x3f803f80));
    std::vector<std::byte> parameters(kernel.parameter_bytes);
    for (size_t p = 0; p + 8 <= parameters.size(); p += 8) std::memcpy(parameters.data() + p, &data, 8);
    const Report report = emulator::launch(device.memory, kernel,
                                           {{2}, {64}, device.dynamic_shared, 0, parameters}, device.options);
    ran += report.counters.warp_instructions > 0 ? 1 : 0;
  }
  CHECK(ran > 20);
}

TEST_CASE("registers that are not alive together share their place", "[emulator]") {
  std::string text = "mov.u32 %r0, 1;\n";
  for (int i = 0; i < 500; ++i)
    text += str(".reg .b32 %x", i, "; add.u32 %x", i, ", ", i > 0 ? str("%x", i - 1) : "%r0", ", 1;\n");
  Device device(body(text + "ld.param.u64 %q0, [p]; st.global.u32 [%q0], %x499; ret;"));
  CHECK(device.module->kernel("k").file_bytes < 4096);
  const uint64_t out = device.memory.allocate(4);
  CHECK(device.run("k", {1}, {1}, out).text() == "");
  CHECK(device.download<uint32_t>(out, 1)[0] == 501);
}
