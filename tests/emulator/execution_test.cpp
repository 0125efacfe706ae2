// How warps and blocks run: ways, exchanges, matrices, counts, launches.
#include "base/error.hpp"
#include "small_kernels.hpp"

using namespace gristmill;
using namespace gristmill::test;

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
  CHECK_THROWS_WITH(run(device, p), contains("until the kernel's attribute is set"));
  device.dynamic_limit = 100 * 1024;
  CHECK(run(device, p).text() == "");
  device.dynamic_shared = 228 * 1024;
  device.dynamic_limit = 300 * 1024;
  CHECK_THROWS_WITH(run(device, p), contains("232448 are allowed"));
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
