#pragma once

// Mutants that no test can catch since they do what the kernel does, with the proof of it: equivalent.json
// beside this file, an array of
//
//   {"kind": "copy reads all bytes", "file": "attention_tiles.cuh", "text": "the line of the source with
//   single blanks",
//    "kernels": "attention_backward/", "most": 30, "proof": "a sentence"}
//
// An entry is about the mutants of one kind that the compiler made of one line of source in the kernels whose
// MODULE/NAME holds `kernels` (all without it). Lines are known by their text, which stays as code above
// moves. It may cover `most` of them: more than were looked at are not proven by it.

#include <map>
#include <string>
#include <vector>

#include "cuda/mutants/sources.hpp"
#include "cuda/mutants/suite.hpp"

namespace gristmill::runtime::test {

struct Proof {
  std::string kind, file, text, kernels, proof;
  uint64_t most = 0, used = 0;
};

class Proofs {
 public:
  /// Error{input} if the file has another form.
  explicit Proofs(const std::string& path);

  /// Why a mutant is the kernel, or null. Counts it.
  const Proof* of(const Judged& judged, const SourceLine& source);
  /// Those that no mutant wanted: they are to be taken out of the list.
  std::vector<Proof> unused() const;

 private:
  std::vector<Proof> proofs_;
};

}  // namespace gristmill::runtime::test
