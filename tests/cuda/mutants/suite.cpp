#include "cuda/mutants/suite.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.hpp"
#include "base/str.hpp"
#include "emulator/module.hpp"

namespace gristmill::runtime::test {

using emulator::FaultKind;
using emulator::Journal;
using emulator::Kernel;
using emulator::Launch;
using emulator::LaunchOptions;
using emulator::Memory;
using emulator::Mutant;
using emulator::MutantKind;
using emulator::Report;

namespace {

/// Instructions of a block of a mutant beyond which it hangs, as a multiple of those of the kernel's launch.
constexpr uint64_t kPatience = 2, kLeast = 10000;
/// Trials of launches that differ in their data alone.
constexpr int kTrials = 3;
/// Runs of a mutant in one process.
constexpr int kRuns = 32;
/// Causes beside the kinds of faults.
constexpr uint32_t kNotCaught = 0, kOtherResults = 1000, kNoFault = 1001;

uint32_t code_of(FaultKind kind) { return 1 + static_cast<uint32_t>(kind); }

std::string text_of(uint32_t caught) {
  if (caught == kNotCaught) return "";
  if (caught == kOtherResults) return "other results";
  if (caught == kNoFault) return "no fault where the kernel has one";
  return std::string(to_string(static_cast<FaultKind>(caught - 1)));
}

/// What in the kernel's own run shows that the mutant would run in another way.
uint8_t telling(MutantKind kind) { return kind == MutantKind::guard ? emulator::kKept : emulator::kDone; }

/// A launch without its data: of an address of global memory only how it is aligned.
std::string shape_of(const Launch& launch) {
  std::string shape = str(launch.grid.x, " ", launch.grid.y, " ", launch.grid.z, " ", launch.block.x, " ",
                          launch.block.y, " ", launch.block.z, " ", launch.dynamic_shared);
  for (size_t at = 0; at < launch.parameters.size(); at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, launch.parameters.data() + at, std::min<size_t>(8, launch.parameters.size() - at));
    const bool address = word >= emulator::kGlobalBase && word < emulator::kGlobalEnd;
    shape += str(" ", address ? word % 256 : word);
  }
  return shape;
}

/// Has a journal kept while it lives.
struct Kept {
  Kept(Memory& memory_, Journal& journal) : memory(memory_) { memory.set_journal(&journal); }
  ~Kept() { memory.set_journal(nullptr); }
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;
  Memory& memory;
};

}  // namespace

/// A launch of the kernel itself, and what it did.
struct MutationSuite::Trial {
  Memory& memory;
  const Launch& launch;
  LaunchOptions options;
  Journal journal;
  std::vector<uint8_t> seen;
  bool faulty = false;
  Journal::Pages before, after;
};

MutationSuite::MutationSuite(std::vector<KernelText> kernels, const std::set<MutantKind>& kinds) {
  size_t count = 0;
  for (KernelText& text : kernels) {
    Target target;
    target.mutants = emulator::mutants(text.ptx);
    std::erase_if(target.mutants, [&](const Mutant& mutant) { return kinds.count(mutant.kind) == 0; });
    target.runs.resize(target.mutants.size());
    target.text = std::move(text);
    count += target.mutants.size();
    order_.push_back(target.text.kernel);
    targets_.emplace(order_.back(), std::move(target));
  }
  bytes_ = std::max<size_t>(count, 1) * sizeof(State);
  void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail(Kind::internal, "no memory for the verdicts");
  states_ = static_cast<State*>(memory);
  State* next = states_;
  for (auto& [name, target] : targets_) {
    target.states = next;
    next += target.mutants.size();
  }
}

MutationSuite::~MutationSuite() { munmap(states_, bytes_); }

void MutationSuite::place(Target& target, const Kernel& kernel) {
  for (const Mutant& mutant : target.mutants) {
    std::vector<uint32_t> places;
    for (uint32_t pc = 0; pc < kernel.code.size(); ++pc) {
      const bool same = kernel.lines[pc] == mutant.line + target.text.lines_above;
      if (same && kernel.texts[pc] == mutant.instruction) places.push_back(pc);
    }
    if (places.empty()) fail(Kind::internal, "kernel ", kernel.name, ": no ", mutant.instruction);
    target.places.push_back(std::move(places));
  }
}

uint32_t MutationSuite::try_mutant(const Target& target, size_t mutant, Trial& trial) {
  Memory variables;  // of the module: there are none, so that the kernel runs on any memory
  const emulator::Module module(variables, target.mutants[mutant].ptx(target.text.ptx), "mutant");
  if (!module.globals().empty()) fail(Kind::internal, "module ", target.text.module, " has variables");
  const Report report =
      emulator::launch(trial.memory, module.kernel(target.text.kernel), trial.launch, trial.options);
  uint32_t caught = kNotCaught;
  if (trial.faulty) {
    if (report.faults.empty()) caught = kNoFault;
  } else if (!report.faults.empty()) {
    caught = code_of(report.faults[0].kind);
  } else if (!same_effect(trial.before, trial.after, trial.journal.before(), trial.journal.now())) {
    caught = kOtherResults;
  }
  trial.journal.undo();
  return caught;
}

void MutationSuite::try_mutants(Target& target, Trial& trial) {
  for (size_t i = 0; i < target.mutants.size(); ++i) {
    State& state = target.states[i];
    const auto differs = [&](uint32_t pc) { return (trial.seen[pc] & telling(target.mutants[i].kind)) != 0; };
    if (state.caught != kNotCaught || target.runs[i] == kRuns ||
        std::none_of(target.places[i].begin(), target.places[i].end(), differs)) {
      continue;
    }
    ++state.runs;
    ++target.runs[i];
    if (const uint32_t caught = try_mutant(target, i, trial); caught != kNotCaught) state.caught = caught;
  }
}

void MutationSuite::try_launch(Memory& memory, const Kernel& kernel, const Launch& launch,
                               const LaunchOptions& options) {
  const auto found = targets_.find(kernel.name);
  if (found == targets_.end()) return;
  Target& target = found->second;
  const auto lives = [](const State& state) { return state.caught == kNotCaught; };
  if (std::none_of(target.states, target.states + target.mutants.size(), lives)) return;
  if (++target.tried[shape_of(launch)] > kTrials) return;
  if (target.places.empty()) place(target, kernel);
  Trial trial = {memory, launch, options, {}, {}, false, {}, {}};
  trial.options.threads = 1;
  trial.options.seen = &trial.seen;
  const Kept kept(memory, trial.journal);
  const Report report = emulator::launch(memory, kernel, launch, trial.options);
  trial.faulty = !report.faults.empty();
  trial.before = trial.journal.before();
  trial.after = trial.journal.now();
  trial.journal.undo();
  trial.options.seen = nullptr;
  trial.options.stop_at_fault = true;
  trial.options.max_instructions =
      std::min(options.max_instructions, kLeast + kPatience * report.counters.warp_instructions);
  try_mutants(target, trial);
}

std::vector<Judged> MutationSuite::verdicts() const {
  std::vector<Judged> all;
  for (const std::string& name : order_) {
    const Target& target = targets_.at(name);
    for (size_t i = 0; i < target.mutants.size(); ++i) {
      all.push_back(
          {target.mutants[i], target.text.module, target.states[i].runs, text_of(target.states[i].caught)});
      all.back().mutant.line += target.text.lines_above;
    }
  }
  return all;
}

}  // namespace gristmill::runtime::test
