#pragma once

// Judges the mutants of the shipped kernels by the launches of the parity tests: before each launch the
// kernel and then its mutants run on the same memory, which is put back each time. A mutant is caught by a
// fault, or by bytes in global memory that are not those that the kernel leaves, or by bytes that only one of
// the two writes.
//
// A mutant whose changed instruction would do the same in a launch (a jump that no thread takes, a guard that
// keeps no thread away) is not run there: it is the kernel. Nor is a launch tried more than a few times that
// differs from another in the data alone, or a mutant more often than some dozens of times in a test case.
//
// The verdicts lie in memory that forked processes share: test cases run beside each other, and no mutant is
// run once it was caught anywhere.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "cuda/mutants/kernels.hpp"
#include "emulator/journal.hpp"
#include "emulator/launch.hpp"
#include "emulator/mutants.hpp"

namespace gristmill::runtime::test {

struct Judged {
  emulator::Mutant mutant;  ///< its line is that of the module's text
  std::string module;
  uint64_t runs = 0;   ///< launches in which it was run
  std::string caught;  ///< by what; empty: not caught
};

class MutationSuite {
 public:
  MutationSuite(std::vector<KernelText> kernels, const std::set<emulator::MutantKind>& kinds);
  ~MutationSuite();
  MutationSuite(const MutationSuite&) = delete;
  MutationSuite& operator=(const MutationSuite&) = delete;

  /// As a LaunchObserver.
  void try_launch(emulator::Memory& memory, const emulator::Kernel& kernel, const emulator::Launch& launch,
                  const emulator::LaunchOptions& options);

  /// In the order of the kernels and their instructions.
  std::vector<Judged> verdicts() const;

 private:
  /// Of a mutant, in shared memory.
  struct State {
    std::atomic<uint32_t> runs, caught;  ///< caught: 0, or 1 + a Cause
  };
  struct Target {
    KernelText text;
    std::vector<emulator::Mutant> mutants;
    State* states = nullptr;
    std::vector<std::vector<uint32_t>> places;  ///< of each mutant: the instructions it may be
    std::map<std::string, int> tried;           ///< launches by all but their data
    std::vector<int> runs;                      ///< of each mutant in this process
  };
  struct Trial;
  static void place(Target& target, const emulator::Kernel& kernel);
  static uint32_t try_mutant(const Target& target, size_t mutant, Trial& trial);
  static void try_mutants(Target& target, Trial& trial);

  std::vector<std::string> order_;
  std::map<std::string, Target> targets_;
  State* states_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace gristmill::runtime::test
