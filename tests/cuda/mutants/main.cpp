// kernel-mutants: runs the parity tests with every mutant of every shipped kernel, and prints the verdicts.

#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/cli.hpp"
#include "base/error.hpp"
#include "base/file.hpp"
#include "base/log.hpp"
#include "base/str.hpp"
#include "cuda/mutants/cases.hpp"
#include "cuda/mutants/kernels.hpp"
#include "cuda/mutants/proofs.hpp"
#include "cuda/mutants/sources.hpp"
#include "cuda/mutants/suite.hpp"
#include "emulator/driver/emulated_driver.hpp"

using namespace gristmill;
using namespace gristmill::runtime::test;

namespace {

struct Options {
  int jobs = 2;
  bool brief = false;
  std::string only, tests, kinds = "barrier wait guard branch copy";
};

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::set<emulator::MutantKind> kinds_of(const Options& options) {
  using Kind = emulator::MutantKind;
  std::set<Kind> kinds;
  for (const Kind kind : {Kind::barrier, Kind::wait, Kind::guard, Kind::branch, Kind::copy_size}) {
    const std::string name(to_string(kind).substr(0, to_string(kind).find(' ')));
    if (holds(options.kinds, name)) kinds.insert(kind);
  }
  return kinds;
}

/// Each case in a process of its own, `jobs` at a time.
void run_cases(MutationSuite& suite, const Options& options) {
  emulator::set_launch_observer([&](auto& memory, const auto& kernel, const auto& launch, const auto& how) {
    suite.try_launch(memory, kernel, launch, how);
  });
  std::map<pid_t, std::string> running;
  const auto finish_one = [&] {
    int status = 0;
    const auto ended = running.extract(wait(&status));
    if (status != 0) fail(Kind::internal, "with the kernels as they are, this case fails: ", ended.mapped());
    log::info("done: ", ended.mapped());
  };
  for (const std::string& name : case_names()) {
    if (!holds(name, options.tests)) continue;
    if (static_cast<int>(running.size()) == options.jobs) finish_one();
    const pid_t child = fork();
    if (child == 0) _exit(run_case(name) ? 0 : 1);
    running[child] = name;
  }
  while (!running.empty()) finish_one();
}

/// The sources' lines of each module's PTX.
std::map<std::string, SourceLines> source_lines() {
  std::map<std::string, SourceLines> lines;
  for (const auto& [module, ptx] : shipped_modules()) {
    const std::string lined = read_file(str(GRISTMILL_KERNEL_LINES, "/", module, ".ptx"));
    lines.emplace(module, SourceLines(ptx, lined, GRISTMILL_KERNEL_SOURCES));
  }
  return lines;
}

struct Tally {
  uint64_t made = 0, caught = 0, equivalent = 0;
};

/// Prints the verdicts; returns how many mutants are neither caught nor proven to be the kernel.
uint64_t report(const std::vector<Judged>& verdicts, Proofs& proofs, bool brief) {
  const auto lines = source_lines();
  std::map<std::string, Tally> tallies;
  uint64_t left = 0;
  for (const Judged& judged : verdicts) {
    const SourceLine source = lines.at(judged.module).at(judged.mutant.line);
    const std::string kind(to_string(judged.mutant.kind));
    Tally& tally = tallies[kind];
    const Proof* proof = judged.caught.empty() ? proofs.of(judged, source) : nullptr;
    ++tally.made;
    tally.caught += judged.caught.empty() ? 0 : 1;
    tally.equivalent += proof != nullptr ? 1 : 0;
    const bool lives = judged.caught.empty() && proof == nullptr;
    left += lives ? 1 : 0;
    if (brief && !lives) continue;
    std::cout << str(judged.module, "/", judged.mutant.kernel, " line ", judged.mutant.line, " \"",
                     judged.mutant.instruction, "\" (", source.file, ":", source.line, " \"", source.text,
                     "\"), ", kind, ": ",
                     lives              ? str("NOT CAUGHT in ", judged.runs, " runs")
                     : proof != nullptr ? str("equivalent: ", proof->proof)
                                        : str("caught: ", judged.caught),
                     "\n");
  }
  for (const auto& [kind, tally] : tallies) {
    std::cout << str(kind, ": ", tally.made, " mutants, ", tally.caught, " caught, ", tally.equivalent,
                     " equivalent, ", tally.made - tally.caught - tally.equivalent, " left\n");
  }
  return left;
}

void run(const Options& options) {
  std::vector<KernelText> kernels = shipped_kernels();
  std::erase_if(kernels, [&](const KernelText& text) {
    return !holds(str(text.module, "/", text.kernel), options.only);
  });
  Proofs proofs(GRISTMILL_KERNEL_PROOFS);
  MutationSuite suite(std::move(kernels), kinds_of(options));
  run_cases(suite, options);
  const uint64_t left = report(suite.verdicts(), proofs, options.brief);
  const bool whole = options.only.empty() && options.tests.empty();
  for (const Proof& proof : whole ? proofs.unused() : std::vector<Proof>()) {
    log::warn("the list of equivalent mutants has one that is none: ", proof.file, " ", proof.text);
  }
  if (left > 0) fail(Kind::internal, left, " mutants are neither caught nor proven to be the kernel");
  if (whole && !proofs.unused().empty())
    fail(Kind::internal, "the list of equivalent mutants is not up to date");
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  cli::Tool tool("kernel-mutants", "Judges every mutant of the shipped GPU kernels by the parity tests.");
  tool.option("--jobs", options.jobs, "processes at a time");
  tool.option("--brief", options.brief, "prints only mutants that are left, and the sums");
  tool.option("--only", options.only, "only kernels whose MODULE/NAME holds this text");
  tool.option("--kinds", options.kinds, "kinds of mutants, by the first words of their names");
  tool.option("--tests", options.tests, "only test cases whose name holds this text");
  return tool.run(argc, argv, [&] { run(options); });
}
