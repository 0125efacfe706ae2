// kernel-mutants: runs the parity tests with every mutant of every shipped kernel, and prints the verdicts.

#include <sys/wait.h>
#include <unistd.h>

#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "base/cli.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/str.hpp"
#include "emulator/driver/emulated_driver.hpp"
#include "mutants/cases.hpp"
#include "mutants/kernels.hpp"
#include "mutants/suite.hpp"

using namespace gristmill;
using namespace gristmill::runtime::test;

namespace {

struct Options {
  int jobs = 2;
  std::string only, tests;
};

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

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

Json told(const Judged& judged) {
  Json json = Json::object();
  json["module"] = judged.module;
  json["kernel"] = judged.mutant.kernel;
  json["kind"] = to_string(judged.mutant.kind);
  json["line"] = int64_t{judged.mutant.line};
  json["instruction"] = judged.mutant.instruction;
  json["runs"] = judged.runs;
  json["caught"] = judged.caught;
  return json;
}

void run(const Options& options) {
  std::vector<KernelText> kernels = shipped_kernels();
  std::erase_if(kernels, [&](const KernelText& text) {
    return !holds(str(text.module, "/", text.kernel), options.only);
  });
  MutationSuite suite(std::move(kernels));
  run_cases(suite, options);
  for (const Judged& judged : suite.verdicts()) std::cout << told(judged).dump() << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  cli::Tool tool("kernel-mutants", "Judges every mutant of the shipped GPU kernels by the parity tests.");
  tool.option("--jobs", options.jobs, "processes at a time");
  tool.option("--only", options.only, "only kernels whose MODULE/NAME holds this text");
  tool.option("--tests", options.tests, "only test cases whose name holds this text");
  return tool.run(argc, argv, [&] { run(options); });
}
