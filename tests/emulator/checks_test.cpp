// What the emulated GPU checks, one small kernel a check.
#include "base/error.hpp"
#include "small_kernels.hpp"

using namespace gristmill;
using namespace gristmill::test;

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

TEST_CASE("memory filled with zeros counts as written and takes none of the host", "[emulator]") {
  const auto resident = [] {
    const std::string text = kernel_file("/proc/self/statm");
    return parse_uint(split(text, ' ').at(1)).value() * 4096;
  };
  const uint64_t before = resident();
  emulator::Memory memory;
  const uint64_t zeros = memory.allocate_zeros(uint64_t{4} << 30);
  const std::string ptx =
      ".version 8.0\n.target sm_80\n.address_size 64\n.global .b8 big[1073741824], bigger[1073741824];\n"
      ".global .align 8 .b64 other[134217728] = {5};\n";
  const emulator::Module module(memory, ptx, "big.ptx");
  CHECK(memory.initialised(zeros + (uint64_t{3} << 30), 100));
  uint64_t value = 1;
  memory.read(zeros + (uint64_t{3} << 30), &value, 8);
  CHECK(value == 0);
  memory.read(module.globals().at(2).address, &value, 8);
  CHECK(value == 5);
  memory.write(zeros + 64, &value, 8);
  memory.forget(zeros + 60, 8);
  CHECK_FALSE(memory.initialised(zeros + 56, 8));
  CHECK(memory.initialised(zeros + 68, 4));
  memory.write(zeros + 60, &value, 4);
  CHECK(memory.initialised(zeros + 56, 8));
  CHECK(resident() - before < (uint64_t{32} << 20));
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

TEST_CASE("an atomic of shared memory hides neither its thread's write nor the atomics before it",
          "[emulator]") {
  const auto shared = [](const std::string& body) {
    return run(kernel(kPlaces + "setp.eq.u32 %c0, %t, 0; setp.eq.u32 %c1, %t, 40;\n" + body, kShared), 64,
               {1}, {64});
  };
  CHECK(only(shared("@%c0 st.shared.u32 [s], 0; atom.shared.add.u32 %r0, [s], 1;"),
             FaultKind::shared_write_after_write));
  const std::string zero = "@%c0 st.shared.u32 [s], 0; bar.sync 0; ";
  CHECK(only(shared(zero + "@%c0 atom.shared.add.u32 %r0, [s], 1; @%c1 atom.shared.add.u32 %r0, [s], 1; @%c1 "
                           "ld.shared.u32 %r0, [s];"),
             FaultKind::shared_read_after_write));
  CHECK(only(shared(zero + "@%c0 atom.shared.add.u32 %r0, [s], 1; @%c1 atom.shared.add.u32 %r0, [s], 1; @%c1 "
                           "st.shared.u32 [s], 1;"),
             FaultKind::shared_write_after_write));
  CHECK(shared(zero + "atom.shared.add.u32 %r0, [s], 1; bar.sync 0; ld.shared.u32 %r0, [s];").text() == "");
  CHECK(
      shared("@%c0 st.shared.u32 [s], 0; @%c0 atom.shared.add.u32 %r0, [s], 1; @%c0 ld.shared.u32 %r0, [s];")
          .text() == "");
}

TEST_CASE("a faulty store leaves nothing behind that a faulty load would give", "[emulator]") {
  Device device(
      kernel(".local .align 4 .b8 mine[8]; mov.u64 %q1, mine; cvta.local.u64 %q2, %q1; st.local.u32 [%q1+8], "
             "5; ld.local.u32 %r0, [%q1+8];\nst.u32 [%q2+8], 6; ld.u32 %r1, [%q2+8]; st.global.v2.u32 [%p], "
             "{%r0, %r1};"));
  const uint64_t out = device.memory.allocate(8);
  const Report report = run(device, out, {1}, {1});
  CHECK(report.faults.size() == 4);
  CHECK(has(report, FaultKind::local_out_of_bounds));
  CHECK(device.download<uint32_t>(out, 2) == std::vector<uint32_t>(2, 0xffffffffu));
}

TEST_CASE("a synchronisation of some lanes orders those lanes alone", "[emulator]") {
  const auto shared = [](const std::string& body) {
    return run(kernel(kPlaces + body, kShared), 64, {1}, {32});
  };
  const std::string lanes =
      "setp.lt.u32 %c0, %t, 2; setp.lt.u32 %c1, %t, 4; setp.gt.u32 %c2, %t, 0; and.pred "
      "%c2, %c1, %c2; st.shared.u32 [%r7], 1;\n";
  // %r6 is the neighbour's word.
  CHECK(has(shared(lanes + "@%c0 bar.warp.sync 3; ld.shared.u32 %r0, [%r6];"),
            FaultKind::shared_read_after_write));
  CHECK(shared(lanes + "@%c0 bar.warp.sync 3; @%c0 ld.shared.u32 %r0, [%r6];").text() == "");
  CHECK(shared(lanes + "bar.warp.sync -1; ld.shared.u32 %r0, [%r6];").text() == "");
  // What lane 0 gave to lane 1, lane 1 gives on to lanes 2 and 3, and not back.
  const std::string chain = lanes + "@%c0 bar.warp.sync 3; @%c2 bar.warp.sync 14; setp.eq.u32 %c3, %t, ";
  CHECK(shared(chain + "3; @%c3 ld.shared.u32 %r0, [s];").text() == "");
  CHECK(has(shared(chain + "0; @%c3 ld.shared.u32 %r0, [s+12];"), FaultKind::shared_read_after_write));
}

TEST_CASE("the source of an asynchronous copy is read until the copy is awaited", "[emulator]") {
  const auto copied = [](const std::string& between) {
    return run(
        kernel("setp.eq.u32 %c0, %t, 0; setp.eq.u32 %c1, %t, 32; @%c0 cp.async.ca.shared.global [s], [%p], "
               "4;\n" +
                   between + " @%c0 cp.async.wait_all;",
               kShared),
        64, {1}, {64});
  };
  CHECK(only(copied("bar.sync 0; @%c1 st.global.u32 [%p], 1;"), FaultKind::global_warp_race));
  CHECK(copied("@%c0 cp.async.wait_all; bar.sync 0; @%c1 st.global.u32 [%p], 1;").text() == "");
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

TEST_CASE("generic addresses that an instruction cannot use are a fault", "[emulator]") {
  const std::string local = ".local .align 8 .b8 mine[12]; mov.u64 %q1, mine; cvta.local.u64 %q1, %q1;";
  CHECK(only(run(kernel(local + "atom.add.u32 %r0, [%q1], 1;"), 1), FaultKind::bad_operand));
  CHECK(only(run(kernel("mov.u64 %q1, p; cvta.param.u64 %q1, %q1; ld.u32 %r0, [%q1]; st.u32 [%q1], 1;"), 1),
             FaultKind::bad_operand));
  CHECK(run(kernel("mov.u64 %q1, s; cvta.shared.u64 %q1, %q1; st.u64 [%q1], %p; bar.warp.sync -1; "
                   "atom.add.u32 %r0, [%q1], 1;",
                   kShared),
            1, {1}, {1})
            .text() == "");
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
