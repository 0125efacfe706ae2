// Mutants of the real kernels: each is caught by a fault or by wrong bytes, or it is known why not.
#include "emulator/mutants.hpp"

#include <map>
#include <tuple>

#include "kernels.hpp"

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

/// Of each kind how many mutants there are, and how many show a fault or other bytes than the kernel itself.
template <class Run>
std::map<MutantKind, Tally> tally(const std::string& ptx, const Run& run) {
  const std::vector<std::byte> right = run(ptx).bytes;
  std::map<MutantKind, Tally> result;
  for (const Mutant& mutant : emulator::mutants(ptx)) {
    const Outcome outcome = run(mutant.ptx(ptx));
    const bool caught = !outcome.report.text().empty() || outcome.bytes != right;
    INFO("line " << mutant.line << ", " << mutant.instruction << ": " << to_string(mutant.kind));
    if (mutant.kind == MutantKind::barrier || mutant.kind == MutantKind::wait) CHECK(caught);
    Tally& of_kind = result[mutant.kind];
    ++of_kind.made;
    of_kind.caught += caught ? 1 : 0;
  }
  return result;
}

}  // namespace

TEST_CASE("every barrier and every wait of rmsnorm and gemm is needed, and its lack is caught",
          "[emulator]") {
  auto norm =
      tally(stored("rmsnorm"), [](const auto& ptx) { return run_rmsnorm(ptx, short_launch(), 2, 4104); });
  CHECK(norm[MutantKind::barrier].made == 2);
  CHECK(norm[MutantKind::branch].caught >= 6);
  auto product =
      tally(stored("gemm"), [](const auto& ptx) { return run_gemm(ptx, short_launch(), 64, 64, 96); });
  CHECK(product[MutantKind::barrier].made == 2);
  CHECK(product[MutantKind::wait].made == 2);
  // The copies of this kernel are whole, so that their mutants are the same kernel.
  CHECK(product[MutantKind::copy_size].caught == 0);
}

TEST_CASE("every barrier and every wait of attention is needed, and its lack is caught", "[emulator]") {
  auto flash =
      tally(stored("attention"), [](const auto& ptx) { return run_attention(ptx, short_launch(), 1, 131); });
  CHECK(flash[MutantKind::barrier].made == 4);
  CHECK(flash[MutantKind::wait].made == 3);
  // Rows behind the end are masked: zeros in their place are a precaution against NaN.
  CHECK(flash[MutantKind::copy_size].caught == 0);
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
