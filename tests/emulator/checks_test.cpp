// What the emulated GPU checks, one small kernel a check.
#include "base/error.hpp"
#include "device.hpp"

using namespace gristmill;
using namespace gristmill::test;

namespace {

/// A kernel with a 64-bit parameter "p" in %p, its thread in %t, its block in %b, and room for values.
std::string kernel(const std::string& body, const std::string& variables = "") {
  return ".version 8.0\n.target sm_80\n.address_size 64\n" + variables +
         "\n.entry k(.param .u64 p) {\n.reg .b64 %p, %a, %q<4>; .reg .b32 %t, %b, %r<8>; .reg .pred %c<4>; "
         ".reg .f32 %f<4>;\n"
         "ld.param.u64 %p, [p];\nmov.u32 %t, %tid.x;\nmov.u32 %b, %ctaid.x;\nmul.wide.u32 %a, %t, "
         "4;\nadd.s64 %a, %p, %a;\n" +
         body + "\nret;\n}\n";
}

const std::string kShared = "\n.shared .align 16 .b8 s[512];";
/// %r7 = the address of this thread's word in s, %r6 that of its neighbour's.
const std::string kPlaces =
    "mov.u32 %r7, s; shl.b32 %r5, %t, 2; add.u32 %r7, %r7, %r5;\n"
    "xor.b32 %r6, %t, 1; shl.b32 %r6, %r6, 2; mov.u32 %r4, s; add.u32 %r6, %r6, %r4;\n";

Report run(Device& device, uint64_t parameter, Dim3 grid = {1}, Dim3 block = {32}) {
  return device.run("k", grid, block, parameter);
}

Report run(const std::string& ptx, size_t words, Dim3 grid = {1}, Dim3 block = {32}, uint64_t seed = 0) {
  Device device(ptx);
  device.options.seed = seed;
  return run(device, device.upload(std::vector<uint32_t>(words, 7)), grid, block);
}

bool only(const Report& report, FaultKind kind) {
  return report.faults.size() == 1 && report.faults[0].kind == kind;
}

}  // namespace

TEST_CASE("blocks that write the same bytes race, atomics do not", "[emulator]") {
  const auto race = [](const std::string& body) { return run(kernel(body), 64, {4}, {32}); };
  CHECK(only(race("st.global.u32 [%a], 1;"), FaultKind::global_race));
  CHECK(only(race("setp.eq.u32 %c0, %b, 0; @%c0 st.global.u32 [%a], 1; @!%c0 ld.global.u32 %r0, [%a];"),
             FaultKind::global_race));
  CHECK(has(race("setp.eq.u32 %c0, %b, 2; @!%c0 red.global.add.u32 [%a], 1; @%c0 st.global.u32 [%a], 1;"),
            FaultKind::global_race));
  CHECK(race("red.global.add.u32 [%a], 1;").text() == "");
  CHECK(race("atom.global.max.s32 %r0, [%a], %b;").text() == "");
  CHECK(race("ld.global.u32 %r0, [%a];").text() == "");
  // Neighbours of two bytes in one word, written by different blocks.
  CHECK(race("setp.lt.u32 %c0, %t, 1; mul.wide.u32 %q0, %b, 2; add.s64 %q0, %p, %q0; @%c0 st.global.u16 "
             "[%q0], 1;")
            .text() == "");
}

TEST_CASE("a race between blocks names both, for any order and number of threads", "[emulator]") {
  Device device(kernel("setp.eq.u32 %c0, %t, 3; @%c0 st.global.u32 [%a], %b;"));
  const uint64_t out = device.upload(std::vector<uint32_t>(32, 0));
  const Report report = run(device, out, {2});
  REQUIRE(report.faults.size() == 1);
  const auto& fault = report.faults[0];
  CHECK(fault.kind == FaultKind::global_race);
  CHECK(fault.block.x == 1);
  CHECK(fault.thread.x == 3);
  CHECK(fault.address == out + 12);
  CHECK_THAT(emulator::to_string(fault), contains("the other block is 0,0,0"));
  CHECK_THAT(emulator::to_string(fault), contains("st.global.u32 [%a], %b"));
}

TEST_CASE("warps of a block race in global memory unless a barrier lies between", "[emulator]") {
  // %a is this thread's word, %q1 that of the thread 32 further or before.
  const std::string other = "xor.b32 %r0, %t, 32; mul.wide.u32 %q1, %r0, 4; add.s64 %q1, %p, %q1;";
  const auto race = [&](const std::string& body, uint64_t seed) {
    return run(kernel(other + body), 64, {2}, {64}, seed);
  };
  const std::string own =
      "mul.wide.u32 %q2, %b, 0; setp.eq.u32 %c1, %b, 0; @!%c1 bra DONE; ";  // one block alone
  for (const uint64_t seed : {0, 1, 2, 3}) {
    CHECK(only(race(own + "st.global.u32 [%a], 1; ld.global.u32 %r1, [%q1]; DONE:", seed),
               FaultKind::global_warp_race));
    CHECK(race(own + "st.global.u32 [%a], 1; bar.sync 0; ld.global.u32 %r1, [%q1]; DONE:", seed).text() ==
          "");
    CHECK(race(own + "st.global.u32 [%a], 1; ld.global.u32 %r1, [%a]; DONE:", seed).text() == "");
    CHECK(race(own + "red.global.add.u32 [%p], 1; DONE:", seed).text() == "");
    CHECK(has(race(own + "red.global.add.u32 [%p], 1; ld.global.u32 %r1, [%p]; DONE:", seed),
              FaultKind::global_warp_race));
    CHECK(has(
        race(
            own +
                "ld.global.u32 %r1, [%a]; bar.sync 0; ld.global.u32 %r1, [%q1]; st.global.u32 [%a], 1; DONE:",
            seed),
        FaultKind::global_warp_race));
  }
}

TEST_CASE("global memory knows its bounds and what was written", "[emulator]") {
  Device device(kernel("ld.global.u32 %r0, [%a]; st.global.u32 [%a], %r0;"));
  const uint64_t fresh = device.memory.allocate(128);
  CHECK(fresh % 256 == 0);
  CHECK(has(run(device, fresh), FaultKind::global_uninitialised));
  CHECK(run(device, fresh).text() == "");  // the stores of the first run
  device.memory.forget(fresh + 4, 4);
  CHECK(run(device, fresh).faults.at(0).thread.x == 1);
  const uint64_t full = device.upload(std::vector<uint32_t>(31, 1));
  const Report beyond = run(device, full);
  REQUIRE(has(beyond, FaultKind::global_out_of_bounds));
  CHECK(beyond.faults[0].thread.x == 31);
  CHECK_THAT(beyond.text(), contains("0 bytes behind an allocation of 124"));
  CHECK(has(run(device, full + 2), FaultKind::global_misaligned));
  device.memory.release(full);
  CHECK(run(device, full).faults.at(0).count == 32);
  CHECK(has(run(device, 0), FaultKind::global_out_of_bounds));
  CHECK(has(run(device, ~uint64_t{3}), FaultKind::global_out_of_bounds));
}

TEST_CASE("the host's own accesses are checked", "[emulator]") {
  emulator::Memory memory;
  const uint64_t a = memory.allocate(16), b = memory.allocate(16);
  const uint32_t value = 5;
  memory.write(a + 12, &value, 4);
  CHECK_THROWS_WITH(memory.write(a + 13, &value, 4), contains("outside every allocation"));
  CHECK_THROWS_AS(memory.release(a + 4), Error);
  CHECK_THROWS_AS(memory.allocate(uint64_t{1} << 50), Error);
  CHECK(memory.initialised(a + 12, 4));
  CHECK_FALSE(memory.initialised(a + 8, 8));
  memory.copy(b, a + 8, 8);
  CHECK(memory.initialised(b + 4, 4));
  CHECK_FALSE(memory.initialised(b, 8));
  CHECK(memory.bytes_in_use() == 32);
}

TEST_CASE("constants may be read and not written", "[emulator]") {
  const std::string table =
      ".const .align 4 .u32 table[4] = {10, 20, 30, 0x28};\n.global .f32 g[2] = {1.5, 0f40000000};";
  Device device(
      kernel("mov.u64 %q0, table; ld.const.u32 %r0, [table+12]; st.global.u32 [%p], %r0;\n"
             "ld.global.f32 %f0, [g+4]; st.global.f32 [%p+4], %f0; setp.eq.u32 %c0, %t, 1; @%c0 "
             "st.global.u32 [%q0], 1;",
             table));
  const uint64_t out = device.memory.allocate(8);
  const Report report = run(device, out, {1}, {2});
  CHECK(only(report, FaultKind::global_read_only));
  CHECK(device.download<uint32_t>(out, 2) == std::vector<uint32_t>{40, 0x40000000});
  CHECK(device.module->globals().size() == 2);
}

TEST_CASE("shared memory: what was never written, who races, what lies outside", "[emulator]") {
  const auto shared = [](const std::string& body, Dim3 block = {64}) {
    return run(kernel(kPlaces + body, kShared), 64, {1}, block);
  };
  CHECK(only(shared("ld.shared.u32 %r0, [%r7];"), FaultKind::shared_uninitialised));
  CHECK(shared("st.shared.u32 [%r7], 1; ld.shared.u32 %r0, [%r7];").text() == "");
  CHECK(has(shared("st.shared.u32 [%r7], 1; ld.shared.u32 %r0, [%r6];"), FaultKind::shared_read_after_write));
  CHECK(shared("st.shared.u32 [%r7], 1; bar.warp.sync -1; ld.shared.u32 %r0, [%r6];").text() == "");
  CHECK(has(
      shared("st.shared.u32 [%r7], 1; bar.warp.sync -1; ld.shared.u32 %r0, [%r6]; st.shared.u32 [%r7], 2;"),
      FaultKind::shared_write_after_read));
  CHECK(only(shared("st.shared.u32 [s], 1;"), FaultKind::shared_write_after_write));
  CHECK(has(shared("st.shared.u32 [%r7+256], 1; bar.sync 0; st.shared.u32 [%r6+256], 1; ld.shared.u32 %r0, "
                   "[%r7+256];"),
            FaultKind::shared_read_after_write));
  CHECK(
      shared(
          "st.shared.u32 [%r7], 1; bar.sync 0; ld.shared.u32 %r0, [%r6]; bar.sync 0; st.shared.u32 [%r7], 2;")
          .text() == "");
  CHECK(has(shared("st.shared.u32 [%r7+264], 1;"), FaultKind::shared_out_of_bounds));
  CHECK(has(shared("mov.u32 %r7, 0; ld.shared.u32 %r0, [%r7];"), FaultKind::shared_out_of_bounds));
  CHECK(has(shared("st.shared.u32 [%r7+2], 1;"), FaultKind::shared_misaligned));
  // Readers of two warps, then a writer of the first.
  CHECK(has(shared("setp.eq.u32 %c0, %t, 0; @%c0 st.shared.u32 [s], 1; bar.sync 0; ld.shared.u32 %r0, [s]; "
                   "@%c0 st.shared.u32 [s], 2;"),
            FaultKind::shared_write_after_read));
  CHECK(shared(
            "setp.eq.u32 %c0, %t, 0; @%c0 st.shared.u32 [s], 1; bar.sync 0; atom.shared.add.u32 %r0, [s], 1;")
            .text() == "");
}

TEST_CASE("generic addresses reach each space", "[emulator]") {
  Device device(
      kernel(".local .align 4 .b8 mine[8]; mov.u64 %q0, s; cvta.shared.u64 %q0, %q0; mov.u64 %q1, mine; "
             "cvta.local.u64 %q1, %q1;\n"
             "cvta.global.u64 %q2, %p; setp.lt.u32 %c0, %t, 1; selp.b64 %q3, %q0, %q1, %c0;\n"
             "st.u32 [%q3], %t; ld.u32 %r0, [%q3]; isspacep.shared %c1, %q3; selp.u32 %r1, 100, 0, %c1; "
             "add.u32 %r0, %r0, %r1;\n"
             "mul.wide.u32 %a, %t, 4; add.s64 %q2, %q2, %a; st.u32 [%q2], %r0; setp.eq.u32 %c2, %t, 1; @%c2 "
             "ld.u32 %r1, [%q1+8];",
             kShared));
  const uint64_t out = device.memory.allocate(12);
  CHECK(only(run(device, out, {1}, {3}), FaultKind::local_out_of_bounds));
  CHECK(device.download<uint32_t>(out, 3) == std::vector<uint32_t>{100, 1, 2});
}

TEST_CASE("asynchronous copies arrive when they are waited for, and no sooner", "[emulator]") {
  const std::string copy =
      "mov.u64 %q1, %a; cp.async.ca.shared.global [%r7], [%a], 4; cp.async.commit_group;";
  const auto shared = [](const std::string& body) {
    return run(kernel(kPlaces + body, kShared), 64, {1}, {64});
  };
  CHECK(shared(copy + "cp.async.wait_group 0; ld.shared.u32 %r0, [%r7];").text() == "");
  CHECK(shared(copy + "cp.async.wait_all; bar.sync 0; ld.shared.u32 %r0, [%r6];").text() == "");
  CHECK(has(shared(copy + "cp.async.wait_group 0; ld.shared.u32 %r0, [%r6];"),
            FaultKind::shared_read_after_write));
  CHECK(has(shared(copy + "ld.shared.u32 %r0, [%r7]; cp.async.wait_all;"), FaultKind::copy_in_flight));
  CHECK(only(shared(copy), FaultKind::copy_not_awaited));
  CHECK(has(shared(copy + "cp.async.wait_group 1; bar.sync 0; ld.shared.u32 %r0, [%r6]; cp.async.wait_all;"),
            FaultKind::copy_in_flight));
  CHECK(has(shared("add.s64 %a, %a, 2; " + copy + "cp.async.wait_all;"), FaultKind::global_misaligned));
  // A copy of 16 bytes of which 4 are read; what the source becomes later arrives.
  Device device(
      kernel("mov.u32 %r0, 4; cp.async.cg.shared.global [s], [%p], 16, %r0; st.global.u32 [%p], 9;\n"
             "cp.async.wait_all; ld.shared.v4.u32 {%r1, %r2, %r3, %r4}, [s]; st.global.v4.u32 [%p+16], {%r1, "
             "%r2, %r3, %r4};",
             kShared));
  const uint64_t data = device.upload(std::vector<uint32_t>{1, 2, 3, 4, 0, 0, 0, 0});
  CHECK(run(device, data, {1}, {1}).text() == "");
  CHECK(device.download<uint32_t>(data + 16, 4) == std::vector<uint32_t>{9, 0, 0, 0});
}

TEST_CASE("lanes of a warp exchange, vote, match and sum", "[emulator]") {
  Device device(
      kernel("shfl.sync.up.b32 %r0|%c0, %t, 1, 0, -1; selp.u32 %r1, 1000, 0, %c0; add.u32 %r0, %r0, %r1;\n"
             "setp.lt.u32 %c1, %t, 4; vote.sync.ballot.b32 %r2, %c1, -1; vote.sync.any.pred %c2, !%c1, -1;\n"
             "redux.sync.add.s32 %r3, %t, -1; and.b32 %r4, %t, 3; match.any.sync.b32 %r5, %r4, -1; "
             "activemask.b32 %r6;\n"
             "mul.wide.u32 %q0, %t, 32; add.s64 %q0, %p, %q0; selp.u32 %r7, 1, 0, %c2;\n"
             "st.global.v4.u32 [%q0], {%r0, %r2, %r3, %r5}; st.global.v2.u32 [%q0+16], {%r6, %r7};"));
  const uint64_t out = device.memory.allocate(32 * 32);
  CHECK(run(device, out).text() == "");
  const auto got = device.download<uint32_t>(out, 256);
  for (uint32_t lane = 0; lane < 32; ++lane) {
    CHECK(got[lane * 8] == (lane == 0 ? 0 : lane - 1 + 1000));
    CHECK(got[lane * 8 + 1] == 15);
    CHECK(got[lane * 8 + 2] == 496);
    CHECK(got[lane * 8 + 3] == 0x11111111u << (lane % 4));
    CHECK(got[lane * 8 + 4] == 0xffffffffu);
    CHECK(got[lane * 8 + 5] == 1);
  }
}

TEST_CASE("lanes that a shuffle needs and that are elsewhere are a fault", "[emulator]") {
  const std::string half = "setp.lt.u32 %c0, %t, 16; @!%c0 bra OUT; shfl.sync.bfly.b32 %r0, %t, 1, 31, ";
  CHECK(run(kernel(half + "65535; OUT:"), 64).text() == "");
  CHECK(has(run(kernel(half + "-1; OUT: bar.sync 0;"), 64), FaultKind::divergent_warp));
  CHECK(has(run(kernel("setp.lt.u32 %c0, %t, 16; @%c0 shfl.sync.bfly.b32 %r0, %t, 16, 31, 65535;"), 64),
            FaultKind::absent_lane));
  // Lanes that come by another way wait for each other at the shuffle.
  const std::string meet =
      "setp.lt.u32 %c0, %t, 7; @%c0 bra ONE; mov.u32 %r1, 5; bra TWO; ONE: mov.u32 %r1, 6; TWO: ";
  CHECK(run(kernel(meet + "shfl.sync.idx.b32 %r0, %r1, 0, 31, -1;"), 64).text() == "");
}

TEST_CASE("each thread takes its own way through loops, branches and tables", "[emulator]") {
  Device device(kernel(
      "mov.u32 %r0, 0; mov.u32 %r1, 0; LOOP: setp.ge.u32 %c0, %r1, %t; @%c0 bra END; add.u32 %r0, %r0, %r1;\n"
      "add.u32 %r1, %r1, 1; bra.uni LOOP; END: and.b32 %r2, %t, 3; setp.eq.u32 %c1, %r2, 3; @%c1 bra STORE;\n"
      "WAYS: .branchtargets A, B, C; brx.idx %r2, WAYS; A: add.u32 %r0, %r0, 100; bra STORE;\n"
      "B: add.u32 %r0, %r0, 200; C: add.u32 %r0, %r0, 1000; STORE: st.global.u32 [%a], %r0;"));
  const uint64_t out = device.memory.allocate(4 * 96);
  for (const uint64_t seed : {0, 5, 6}) {
    device.options.seed = seed;
    CHECK(run(device, out, {1}, {96}).text() == "");
    const auto got = device.download<uint32_t>(out, 96);
    for (uint32_t t = 0; t < 96; ++t) {
      const uint32_t extra[] = {100, 1200, 1000, 0};
      CHECK(got[t] == t * (t - 1) / 2 + extra[t % 4]);
    }
  }
}

TEST_CASE("barriers that count", "[emulator]") {
  Device device(
      kernel("setp.lt.u32 %c0, %t, 5; bar.red.popc.u32 %r0, 0, %c0; bar.red.or.pred %c1, 0, %c0; "
             "bar.red.and.pred %c2, 0, !%c0;\n"
             "selp.u32 %r1, 10, 0, %c1; selp.u32 %r2, 100, 0, %c2; add.u32 %r0, %r0, %r1; add.u32 %r0, %r0, "
             "%r2; st.global.u32 [%a], %r0;"));
  const uint64_t out = device.memory.allocate(4 * 70);
  CHECK(run(device, out, {1}, {70}).text() == "");
  CHECK(device.download<uint32_t>(out, 70) == std::vector<uint32_t>(70, 15));
}

TEST_CASE("a kernel that hangs, traps or divides by zero is told", "[emulator]") {
  Device hanging(kernel("AGAIN: bra AGAIN;"));
  hanging.options.max_instructions = 1000;
  const Report report = run(hanging, hanging.memory.allocate(4), {2});
  CHECK(only(report, FaultKind::no_progress));
  CHECK(report.faults[0].count == 1);  // the launch ends with the first block that hangs
  CHECK(report.counters.warp_instructions == 1000);
  CHECK(only(run(kernel("trap; st.global.u32 [%p+999999], 1;"), 1), FaultKind::trap));
  CHECK(only(run(kernel("mov.u32 %r0, 0; div.u32 %r1, %t, %r0;"), 1), FaultKind::division_by_zero));
  CHECK(only(run(kernel("bar.sync 0, 32;"), 1, {1}, {64}), FaultKind::partial_barrier));
  CHECK(run(kernel("bar.sync 0, 64;"), 1, {1}, {64}).text() == "");
  CHECK(has(run(kernel("setp.gt.u32 %c0, %t, 40; @%c0 exit; bar.sync 0;"), 1, {1}, {64}),
            FaultKind::divergent_barrier));
}

TEST_CASE("faults are bounded in number", "[emulator]") {
  std::string body;
  for (int i = 0; i < 200; ++i) body += "st.global.u32 [%p+4000], 1;\n";
  Device device(kernel(body));
  const Report report = run(device, device.memory.allocate(4));
  CHECK(report.faults.size() == 100);
  CHECK(report.omitted_faults == 100 * 32);
  CHECK_THAT(report.text(), contains("and 3200 faults"));
}

TEST_CASE("accesses are counted in sectors and passes over the banks", "[emulator]") {
  const auto counters = [](const std::string& body) {
    return run(kernel(kPlaces + body, kShared), 2048).counters;
  };
  const auto dense = counters("ld.global.u32 %r0, [%a];");
  CHECK(dense.global_sectors == 4);
  CHECK(dense.global_sectors_ideal == 4);
  const auto strided = counters("mul.wide.u32 %q0, %t, 128; add.s64 %q0, %p, %q0; ld.global.u32 %r0, [%q0];");
  CHECK(strided.global_sectors == 32);
  CHECK(strided.global_sectors_ideal == 4);
  CHECK(counters("ld.global.u32 %r0, [%p];").global_sectors == 1);
  const auto free = counters("st.shared.u32 [%r7], 1;");
  CHECK(free.shared_wavefronts == 1);
  const auto conflicts =
      counters("shl.b32 %r0, %t, 4; mov.u32 %r1, s; add.u32 %r0, %r0, %r1; st.shared.u32 [%r0], 1;");
  CHECK(conflicts.shared_wavefronts == 4);
  CHECK(conflicts.shared_wavefronts_ideal == 1);
  const auto vectors = counters(
      "shl.b32 %r0, %t, 4; mov.u32 %r1, s; add.u32 %r0, %r0, %r1; st.shared.v4.u32 [%r0], {%t, %t, %t, %t};");
  CHECK(vectors.shared_wavefronts == 4);
  CHECK(vectors.shared_wavefronts_ideal == 4);
}

TEST_CASE("launches that hardware refuses are refused", "[emulator]") {
  Device device(kernel("", ".extern .shared .align 16 .b8 dynamic[];"));
  const uint64_t p = device.memory.allocate(4);
  CHECK_THROWS_WITH(run(device, p, {1, 65536, 1}), contains("65535"));
  CHECK_THROWS_WITH(run(device, p, {1, 1, 70000}), contains("65535"));
  CHECK_THROWS_WITH(run(device, p, {1}, {1025}), contains("1024 threads"));
  CHECK_THROWS_WITH(run(device, p, {1}, {1, 1, 65}), contains("64 deep"));
  CHECK_THROWS_WITH(run(device, p, {0}), contains("without threads"));
  device.dynamic_shared = 48 * 1024 + 16;
  CHECK_THROWS_WITH(run(device, p), contains("the attribute allows"));
  device.dynamic_limit = 100 * 1024;
  CHECK(run(device, p).text() == "");
  device.dynamic_shared = 228 * 1024;
  device.dynamic_limit = 300 * 1024;
  CHECK_THROWS_WITH(run(device, p), contains("the device"));
  CHECK_THROWS_WITH(device.module->kernel("other"), contains("no kernel"));
  const std::string bounded =
      replaced(kernel(""), "k(.param .u64 p) {", "k(.param .u64 p) .maxntid 64, 1, 1 {");
  CHECK_THROWS_WITH(run(bounded, 1, {1}, {96}), contains("launch bound is 64"));
}

TEST_CASE("matrices of f16 and of tf32 are multiplied", "[emulator]") {
  // Every element of A is 2, of B 0.5, of C 1: sums over 16 and 8 products.
  const auto product = [](const std::string& op, const std::string& a, const std::string& b,
                          const std::string& factors = "{%r0, %r0, %r0, %r0}, {%r1, %r1}") {
    Device device(kernel(str(
        "mov.b32 %r0, ", a, "; mov.b32 %r1, ", b, "; mov.f32 %f0, 0f3f800000;\n", op,
        " {%f0, %f1, %f2, %f3}, ", factors,
        ", {%f0, %f0, %f0, %f0};\n"
        "mul.wide.u32 %q0, %t, 16; add.s64 %q0, %p, %q0; st.global.v4.f32 [%q0], {%f0, %f1, %f2, %f3};")));
    const uint64_t out = device.memory.allocate(32 * 16);
    CHECK(run(device, out).text() == "");
    return device.download<float>(out, 128);
  };
  CHECK(product("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", "0x40004000", "0x38003800") ==
        std::vector<float>(128, 17));
  CHECK(product("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", "0x40004000", "0x3f003f00") ==
        std::vector<float>(128, 17));
  CHECK(product("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32", "0x40004000", "0x3f003f00",
                "{%r0, %r0}, {%r1}") == std::vector<float>(128, 9));
  CHECK(product("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", "0x40000000", "0x3f000000") ==
        std::vector<float>(128, 9));
}

TEST_CASE("a matrix in registers is transposed, and one in shared memory when it is loaded", "[emulator]") {
  // Element (row, column) is 8·row + column; lane l holds row l / 4, columns 2·(l % 4) and the next.
  Device device(kernel(
      kPlaces + "shl.b32 %r0, %t, 1; add.u32 %r1, %r0, 1; shl.b32 %r1, %r1, 16; or.b32 %r0, %r0, %r1;\n"
                "movmatrix.sync.aligned.m8n8.trans.b16 %r1, %r0; st.shared.u32 [%r7], %r0; bar.sync 0;\n"
                "and.b32 %r2, %t, 7; shl.b32 %r2, %r2, 4; add.u32 %r2, %r2, %r4;\n"
                "ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%r3}, [%r2];\n"
                "mul.wide.u32 %q0, %t, 8; add.s64 %q0, %p, %q0; st.global.v2.u32 [%q0], {%r1, %r3};",
      kShared));
  const uint64_t out = device.memory.allocate(32 * 8);
  CHECK(run(device, out).text() == "");
  const auto got = device.download<uint16_t>(out, 128);
  for (size_t lane = 0; lane < 32; ++lane) {
    for (size_t e = 0; e < 2; ++e) {
      const size_t expected = 8 * (lane % 4 * 2 + e) + lane / 4;
      CHECK(got[lane * 4 + e] == expected);
      CHECK(got[lane * 4 + 2 + e] == expected);
    }
  }
}

TEST_CASE("an index that wraps at 32 bits is seen in an allocation as large as it would need", "[emulator]") {
  // Thread t writes float number t · 2^28 + 2^30 of 2^33 bytes: with 32-bit arithmetic that is somewhere
  // else.
  const std::string wide =
      "mul.wide.u32 %q0, %t, 1073741824; add.s64 %q0, %q0, 4294967296; add.s64 %q0, %p, %q0; st.global.u32 "
      "[%q0], %t;";
  const std::string wrapped =
      "mul.lo.u32 %r0, %t, 1073741824; mul.wide.u32 %q0, %r0, 1; add.s64 %q0, %p, %q0; st.global.u32 [%q0], "
      "%t;";
  for (const bool right : {true, false}) {
    Device device(kernel(right ? wide : wrapped));
    const uint64_t out = device.memory.allocate(uint64_t{1} << 33);
    CHECK(run(device, out, {1}, {4}).text() == "");
    CHECK(device.memory.initialised(out + (uint64_t{1} << 32) + (uint64_t{3} << 30), 4) == right);
  }
}
