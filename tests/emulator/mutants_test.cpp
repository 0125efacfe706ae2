// Mutants of the real kernels: each is caught by a fault or by wrong bytes, or it is known why not.
#include "emulator/mutants.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "kernels.hpp"
#include "small_kernels.hpp"

using namespace gristmill;
using namespace gristmill::test;
using emulator::Mutant;
using emulator::MutantKind;

namespace {

std::string stored(const std::string& name) {
  return read_file(std::string(GRISTMILL_TESTDATA) + "/emulator/" + name + ".ptx");
}

emulator::LaunchOptions short_launch() {
  emulator::LaunchOptions options;
  options.seed = 1;
  options.max_instructions = 200000;
  return options;
}

struct Tally {
  int made = 0, caught = 0;
};

/// A mutant that changes nothing although its branch is taken, and why.
struct Equivalent {
  uint32_t line = 0;
  std::string why;
};

/// Whether any thread takes the branch that a mutant lacks: the branch becomes a trap.
template <class Run>
bool is_taken(const Mutant& mutant, const std::string& ptx, const Run& run) {
  Mutant trap = mutant;
  const std::string branch = ptx.substr(mutant.at, mutant.size);
  trap.change = branch.substr(0, branch.find("bra")) + "trap";
  return !run(trap.ptx(ptx)).report.faults.empty();
}

/// Of each kind how many mutants there are, and how many show a fault or other bytes than the kernel itself.
/// A barrier or a wait that nobody misses fails the test, and so does a branch, unless no thread ever takes
/// it here or it is known why that is so.
template <class Run>
std::map<MutantKind, Tally> tally(const std::string& ptx, const Run& run,
                                  const std::vector<Equivalent>& equivalent = {}) {
  const std::vector<std::byte> right = run(ptx).bytes;
  std::map<MutantKind, Tally> result;
  size_t known = 0;
  for (const Mutant& mutant : emulator::mutants(ptx)) {
    const Outcome outcome = run(mutant.ptx(ptx));
    const bool caught = !outcome.report.text().empty() || outcome.bytes != right;
    INFO("line " << mutant.line << ", " << mutant.instruction << ": " << to_string(mutant.kind));
    const bool listed = std::any_of(equivalent.begin(), equivalent.end(),
                                    [&](const auto& one) { return one.line == mutant.line; });
    if (mutant.kind == MutantKind::branch && !caught) CHECK(listed == is_taken(mutant, ptx, run));
    if (mutant.kind != MutantKind::branch && mutant.kind != MutantKind::copy_size) CHECK(caught);
    known += listed && !caught ? 1 : 0;
    Tally& of_kind = result[mutant.kind];
    ++of_kind.made;
    of_kind.caught += caught ? 1 : 0;
  }
  CHECK(known == equivalent.size());
  return result;
}

}  // namespace

TEST_CASE("every barrier, wait and branch of rmsnorm and gemm is needed, and its lack is caught",
          "[emulator]") {
  auto norm =
      tally(stored("rmsnorm"), [](const auto& ptx) { return run_rmsnorm(ptx, short_launch(), 2, 4104); });
  CHECK(norm[MutantKind::barrier].made == 2);
  CHECK(norm[MutantKind::branch].caught == 6);
  auto product =
      tally(stored("gemm"), [](const auto& ptx) { return run_gemm(ptx, short_launch(), 64, 64, 96); });
  CHECK(product[MutantKind::barrier].made == 2);
  CHECK(product[MutantKind::wait].made == 2);
  CHECK(product[MutantKind::branch].caught == 4);
  // The copies of this kernel are whole, so that their mutants are the same kernel.
  CHECK(product[MutantKind::copy_size].caught == 0);
}

TEST_CASE("every barrier, wait and branch of attention is needed, and its lack is caught", "[emulator]") {
  const std::string same = "four lanes hold the same sum and write the same word where one would do";
  auto flash =
      tally(stored("attention"), [](const auto& ptx) { return run_attention(ptx, short_launch(), 1, 131); },
            {{1628, same}, {1742, same}});
  CHECK(flash[MutantKind::barrier].made == 4);
  CHECK(flash[MutantKind::wait].made == 3);
  CHECK(flash[MutantKind::branch].caught == 8);
  // Rows behind the end are masked: zeros in their place are a precaution against NaN.
  CHECK(flash[MutantKind::copy_size].caught == 0);
}

TEST_CASE("every guard of an access is needed, and its lack is caught", "[emulator]") {
  // Thread t doubles number t of 50; the last of each warp writes a sum to shared memory; copies have a tail.
  const std::string ptx = kernel(
      "setp.lt.u32 %c0, %t, 50; setp.eq.u32 %c1, %t, 31; mov.u32 %r0, 0; mov.u32 %r2, 4;\n"
      "@%c0 ld.global.u32 %r0, [%a];\n@%c0 add.u32 %r0, %r0, %r0;\n"
      "@%c1 st.shared.u32 [s], %r0;\nbar.sync 0;\nld.shared.u32 %r1, [s];\nadd.u32 %r0, %r0, %r1;\n"
      "bar.sync 0;\n@%c1 atom.shared.add.u32 %r1, [s], 1;\n@%c1 st.global.u32 [%p+200], %r1;\n"
      "@%c1 red.global.add.u32 [%p+204], 1;\n@!%c0 mov.u32 %r2, 0;\n"
      "mul.wide.u32 %q0, %t, 4;\nshl.b32 %r3, %t, 2;\nmov.u32 %r4, s;\nadd.u32 %r3, %r3, %r4;\n"
      "cp.async.ca.shared.global [%r3+64], [%a], 4, %r2;\ncp.async.wait_all;\nld.shared.u32 %r1, [%r3+64];\n"
      "add.u32 %r0, %r0, %r1;\n@%c0 st.global.u32 [%a+256], %r0;",
      kShared);
  const auto run = [](const std::string& text) {
    Device device(text);
    std::vector<uint32_t> words(50);
    for (uint32_t i = 0; i < 50; ++i) words[i] = i + 1;
    words.resize(52, 1);
    const uint64_t in = device.memory.allocate(456);
    device.memory.write(in, words.data(), words.size() * 4);
    Outcome outcome;
    outcome.report = device.run("k", {1}, {64}, in);
    outcome.bytes = device.download<std::byte>(in, 456);
    return outcome;
  };
  CHECK(run(ptx).report.text() == "");
  auto all = tally(ptx, run);
  CHECK(all[MutantKind::guard].made == 6);
  CHECK(all[MutantKind::guard].caught == 6);
  CHECK(all[MutantKind::copy_size].caught == 1);
  CHECK(all[MutantKind::barrier].made == 2);
  CHECK(all[MutantKind::wait].made == 1);
}

TEST_CASE("a mutant differs in one instruction and keeps its lines", "[emulator]") {
  const std::string ptx =
      ".version 8.0\n.target sm_80\n.address_size 64\n.shared .align 16 .b8 s[64];\n.entry k(.param .u64 p) "
      "{\n"
      ".reg .b64 %a; .reg .pred %c; .reg .b32 %r<3>;\nld.param.u64 %a, [p];\nmov.u32 %r0, "
      "%tid.x;\nsetp.eq.u32 %c, %r0, 0;\n"
      "@%c st.global.u32\n  [%a], 1;\n@%c bra OUT;\ncp.async.cg.shared.global [s], [%a], 16, %r0;\n"
      "cp.async.wait_group 9;\ncp.async.wait_all;\n@!%c bar.warp.sync -1;\nOUT: ret;\n}\n";
  const auto all = emulator::mutants(ptx);
  REQUIRE(all.size() == 6);
  const std::vector<std::tuple<MutantKind, uint32_t, std::string>> expected = {
      {MutantKind::guard, 10, "\nst.global.u32\n  [%a], 1;"}, {MutantKind::branch, 12, "\n;\ncp.async"},
      {MutantKind::copy_size, 13, "[s], [%a], 16;"},          {MutantKind::wait, 14, "wait_group 10;"},
      {MutantKind::wait, 15, "wait_group 9;\n;\n"},           {MutantKind::barrier, 16, "wait_all;\n;\nOUT"}};
  for (size_t i = 0; i < all.size(); ++i) {
    CHECK(all[i].kind == std::get<0>(expected[i]));
    CHECK(all[i].line == std::get<1>(expected[i]));
    CHECK(all[i].kernel == "k");
    CHECK_THAT(all[i].ptx(ptx), contains(std::get<2>(expected[i])));
    CHECK(count_of(all[i].ptx(ptx), "\n") == count_of(ptx, "\n"));
    emulator::Memory memory;
    CHECK_NOTHROW(emulator::Module(memory, all[i].ptx(ptx), "mutant"));
  }
}

TEST_CASE("a jump to nowhere and a wait for a register have no mutants", "[emulator]") {
  const std::string head =
      ".version 8.0\n.target sm_80\n.entry k() {\n.reg .pred %c; .reg .b32 %r<3>;\nmov.u32 %r0, 7;\n";
  CHECK(emulator::mutants(head + "@%c bra; }\n").empty());
  CHECK(emulator::mutants(head + "cp.async.wait_group %r; }\n").empty());
}
