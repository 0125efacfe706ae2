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

TEST_CASE("tiles of a warp exchange, vote and sum each for itself", "[emulator]") {
  // Lanes 0 … 15 name 0xffff, lanes 16 … 31 0xffff0000, at one instruction that they reach together.
  const std::string masks =
      "setp.lt.u32 %c0, %t, 16; selp.b32 %r7, 0xffff, 0xffff0000, %c0; and.b32 %r6, %t, 1; setp.eq.u32 %c1, "
      "%t, 3;\n";
  Device device(kernel(masks +
                       "shfl.sync.bfly.b32 %r0, %t, 8, 4127, %r7; redux.sync.add.s32 %r1, %t, %r7;\n"
                       "match.any.sync.b32 %r2, %r6, %r7; vote.sync.ballot.b32 %r3, %c1, %r7; bar.warp.sync "
                       "%r7;\nmul.wide.u32 %q0, %t, 16; add.s64 %q0, %p, %q0; st.global.v4.u32 [%q0], {%r0, "
                       "%r1, %r2, %r3};"));
  const uint64_t out = device.memory.allocate(32 * 16);
  CHECK(run(device, out).text() == "");
  const auto got = device.download<uint32_t>(out, 128);
  for (uint32_t lane = 0; lane < 32; ++lane) {
    INFO("lane " << lane);
    CHECK(got[lane * 4] == (lane ^ 8));
    CHECK(got[lane * 4 + 1] == (lane < 16 ? 120 : 376));
    CHECK(got[lane * 4 + 2] == 0x5555u << (lane % 2) << (lane / 16 * 16));
    CHECK(got[lane * 4 + 3] == (lane < 16 ? 8 : 0));
  }
  // The tiles come by different ways, in either order: none takes the other's lanes along.
  for (const std::string first : {"@%c0", "@!%c0"}) {
    Device apart(kernel(masks + first + " bra LATE; nanosleep.u32 1; LATE: setp.lt.u32 %c2, %r6, 1;\n" +
                        "@%c2 bra EVEN; mov.u32 %r5, 1; bra MEET; EVEN: mov.u32 %r5, 2; MEET:\n"
                        "redux.sync.add.s32 %r1, %r5, %r7; st.global.u32 [%a], %r1;"));
    const uint64_t sums = apart.memory.allocate(128);
    CHECK(run(apart, sums).text() == "");
    CHECK(apart.download<uint32_t>(sums, 32) == std::vector<uint32_t>(32, 24));
  }
  // Masks that contradict each other stay a fault: 0 … 15 name all lanes, the others themselves.
  CHECK(has(run(kernel("setp.lt.u32 %c0, %t, 16; selp.b32 %r7, 0xffffffff, 0xffff0000, %c0; "
                       "redux.sync.add.s32 %r1, %t, %r7;"),
                32),
            FaultKind::divergent_warp));
  CHECK(has(run(kernel("setp.lt.u32 %c0, %t, 16; selp.b32 %r7, 0xffff, 0xfffe0000, %c0; "
                       "redux.sync.add.s32 %r1, %t, %r7;"),
                32),
            FaultKind::divergent_warp));
}

TEST_CASE("lanes that do not take part give all ones, whatever ran before", "[emulator]") {
  // Block 0 leaves values in the registers that lanes 16 … 31 of block 1 never write.
  const std::string ptx = kernel(
      "setp.eq.u32 %c0, %b, 1; setp.ge.u32 %c1, %t, 16; and.pred %c2, %c0, %c1; @%c2 bra OUT;\n"
      "add.u32 %r0, %t, 100; shfl.sync.bfly.b32 %r1, %r0, 16, 31, 65535;\n"
      "mov.f32 %f0, 0f3f800000; mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%f0, %f1, %f2, %f3}, "
      "{%r0, %r0}, {%r0}, {%f0, %f0, %f0, %f0};\n"
      "movmatrix.sync.aligned.m8n8.trans.b16 %r2, %r0; mov.b32 %r3, %f0; @!%c0 bra OUT;\n"
      "mul.wide.u32 %q0, %t, 16; add.s64 %q0, %p, %q0; st.global.v4.u32 [%q0], {%r1, %r2, %r3, %r3}; OUT:");
  Device device(ptx);
  const uint64_t out = device.memory.allocate(16 * 16);
  CHECK(has(run(device, out, {2}), FaultKind::absent_lane));
  CHECK(device.download<uint32_t>(out, 64) == std::vector<uint32_t>(64, 0xffffffffu));
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
  // Static and dynamic memory together are 48 KiB until the attribute is set.
  Device both(kernel("st.shared.u8 [fixed], 1; st.shared.u8 [dynamic], 1;",
                     ".shared .align 16 .b8 fixed[20480];\n.extern .shared .align 16 .b8 dynamic[];"));
  const emulator::Kernel& k = both.module->kernel("k");
  emulator::Launch launch;
  launch.dynamic_shared = 48 * 1024;
  launch.parameters.resize(8);
  CHECK_THROWS_WITH(emulator::launch(both.memory, k, launch),
                    contains("until the kernel's attribute is set"));
  launch.dynamic_shared = 28 * 1024;
  CHECK(emulator::launch(both.memory, k, launch).text() == "");
  device.dynamic_shared = 228 * 1024;
  device.dynamic_limit = 300 * 1024;
  CHECK_THROWS_WITH(run(device, p), contains("232448 are allowed"));
  CHECK_THROWS_WITH(device.module->kernel("other"), contains("no kernel"));
  const std::string bounded =
      replaced(kernel(""), "k(.param .u64 p) {", "k(.param .u64 p) .maxntid 64, 1, 1 {");
  CHECK_THROWS_WITH(run(bounded, 1, {1}, {96}), contains("launch bound is 64"));
}

namespace {

/// Small whole numbers, different enough that no other order of rows, columns or registers gives the product.
int left_element(size_t row, size_t k) { return static_cast<int>((row * 7 + k * 5 + row * k) % 23) - 11; }
int right_element(size_t k, size_t col) {
  return static_cast<int>((k * 3 + col * 11 + k * k * col) % 19) - 9;
}
int start_element(size_t row, size_t col) { return static_cast<int>(row * 8 + col); }

/// Uploads what each lane's registers hold (A, B, C one behind the other), multiplies, compares. A register
/// holds two adjacent elements of 16 bits, or one of tf32; `encode` makes the bits of an element.
template <class Encode>
void check_product(const std::string& op, size_t depth, size_t packed, const Encode& encode) {
  const size_t step = depth == 16 ? 8 : 4 * packed;  // columns of A between its registers r and r + 2
  const size_t a_regs = 16 * depth / 32 / packed, b_regs = depth * 8 / 32 / packed;
  std::vector<uint32_t> words(32 * 12, 0);
  for (size_t lane = 0; lane < 32; ++lane) {
    const size_t g = lane / 4, t = lane % 4;
    uint32_t* own = words.data() + lane * 12;
    for (size_t e = 0; e < packed; ++e) {
      for (size_t r = 0; r < a_regs; ++r)
        own[r] |= encode(left_element(g + 8 * (r & 1), packed * t + step * (r >> 1) + e)) << (16 * e);
      for (size_t r = 0; r < b_regs; ++r)
        own[4 + r] |= encode(right_element(packed * t + step * r + e, g)) << (16 * e);
    }
    for (size_t r = 0; r < 4; ++r) {
      own[8 + r] =
          std::bit_cast<uint32_t>(static_cast<float>(start_element(g + 8 * (r >> 1), 2 * t + (r & 1))));
    }
  }
  Device device(kernel(
      str("mul.wide.u32 %q0, %t, 48; add.s64 %q0, %p, %q0; ld.global.v4.u32 {%r0, %r1, %r2, %r3}, [%q0];\n"
          "ld.global.v2.u32 {%r4, %r5}, [%q0+16]; ld.global.v4.f32 {%f0, %f1, %f2, %f3}, [%q0+32];\n",
          op, " {%f0, %f1, %f2, %f3}, ", a_regs == 4 ? "{%r0, %r1, %r2, %r3}" : "{%r0, %r1}", ", ",
          b_regs == 2 ? "{%r4, %r5}" : "{%r4}",
          ", {%f0, %f1, %f2, %f3};\nst.global.v4.f32 [%q0+32], {%f0, %f1, %f2, %f3};")));
  const uint64_t data = device.upload(words);
  CHECK(run(device, data).text() == "");
  const auto got = device.download<float>(data, words.size());
  for (size_t row = 0; row < 16; ++row) {
    for (size_t col = 0; col < 8; ++col) {
      int sum = start_element(row, col);
      for (size_t k = 0; k < depth; ++k) sum += left_element(row, k) * right_element(k, col);
      INFO(op << " row " << row << " column " << col);
      CHECK(got[(row % 8 * 4 + col / 2) * 12 + 8 + row / 8 * 2 + col % 2] == static_cast<float>(sum));
    }
  }
}

}  // namespace

TEST_CASE("matrices of f16 and of tf32 are multiplied", "[emulator]") {
  const auto f16 = [](int x) { return uint32_t{emulator::f32_to_f16(static_cast<float>(x))}; };
  const auto bf16 = [](int x) { return uint32_t{emulator::f32_to_bf16(static_cast<float>(x))}; };
  const auto tf32 = [](int x) { return std::bit_cast<uint32_t>(static_cast<float>(x)); };
  check_product("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", 16, 2, f16);
  check_product("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", 16, 2, bf16);
  check_product("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32", 8, 2, bf16);
  check_product("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", 8, 1, tf32);
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

TEST_CASE("matrices in shared memory are loaded as they lie or transposed, one, two or four", "[emulator]") {
  // Element e of matrix q is 64·q + e + 1; its rows are 16 bytes further apart than they are long.
  const size_t pitch = 32;
  for (const size_t count : {1, 2, 4}) {
    for (const bool transposed : {false, true}) {
      const std::string registers = count == 1 ? "{%r0}" : count == 2 ? "{%r0, %r1}" : "{%r0, %r1, %r2, %r3}";
      Device device(kernel(
          str("mov.u32 %r4, s; shl.b32 %r5, %t, 5; add.u32 %r4, %r4, %r5; mul.wide.u32 %q0, %t, 32; add.s64 "
              "%q0, %p, %q0;\nld.global.v4.u32 {%r0, %r1, %r2, %r3}, [%q0]; st.shared.v4.u32 [%r4], {%r0, "
              "%r1, %r2, %r3}; bar.sync 0;\nldmatrix.sync.aligned.m8n8.x",
              count, transposed ? ".trans" : "", ".shared.b16 ", registers,
              ", [%r4]; st.global.v4.u32 [%q0+16], {%r0, %r1, %r2, %r3};"),
          ".shared .align 16 .b8 s[1024];"));
      std::vector<uint16_t> halves(32 * pitch / 2, 0);
      for (size_t row = 0; row < 32; ++row) {
        for (size_t col = 0; col < 8; ++col)
          halves[row * pitch / 2 + col] = static_cast<uint16_t>(row * 8 + col + 1);
      }
      const uint64_t data = device.upload(halves);
      CHECK(run(device, data).text() == "");
      const auto got = device.download<uint16_t>(data, halves.size());
      for (size_t at = 0; at < 32 * count * 2; ++at) {
        const size_t lane = at / count / 2, q = at / 2 % count, e = at % 2;
        const size_t row = transposed ? lane % 4 * 2 + e : lane / 4,
                     col = transposed ? lane / 4 : lane % 4 * 2 + e;
        INFO("x" << count << (transposed ? ".trans" : "") << " lane " << lane << " matrix " << q);
        CHECK(got[lane * pitch / 2 + 8 + q * 2 + e] == q * 64 + row * 8 + col + 1);
      }
    }
  }
}

TEST_CASE("a block sees nothing of those that ran before it on the same thread of the host", "[emulator]") {
  // Even blocks fill registers, shared and local memory; odd ones read what they never wrote.
  Device device(kernel(
      ".local .align 4 .b8 mine[8]; and.b32 %r0, %b, 1; setp.eq.u32 %c0, %r0, 0; mov.u64 %q1, mine;\n"
      "@%c0 mov.u32 %r1, 77; @%c0 st.shared.u32 [s], 77; @%c0 st.local.u32 [%q1], 77;\n"
      "bar.sync 0; ld.shared.u32 %r2, [s]; ld.local.u32 %r3, [%q1]; shfl.sync.down.b32 %r4, %r1, 1, 31, -1;\n"
      "mul.wide.u32 %q2, %b, 32; mul.wide.u32 %q3, %t, 16; add.s64 %q2, %q2, %q3; add.s64 %q2, %p, %q2;\n"
      "st.global.v4.u32 [%q2], {%r1, %r2, %r3, %r4};",
      kShared));
  std::vector<std::vector<uint32_t>> results;
  for (const int threads : {1, 3}) {
    device.options.threads = threads;
    const uint64_t out = device.memory.allocate(40 * 32);
    const Report report = run(device, out, {40}, {2});
    CHECK(has(report, FaultKind::shared_uninitialised));
    results.push_back(device.download<uint32_t>(out, 40 * 8));
  }
  CHECK(results[0] == results[1]);
  for (size_t block = 1; block < 40; block += 2) {
    const uint32_t* first = results[0].data() + block * 8;
    CHECK(std::vector<uint32_t>(first, first + 4) == std::vector<uint32_t>{0, 0xffffffff, 0xffffffff, 0});
  }
}
