#include "cuda/mutants/proofs.hpp"

#include "base/json.hpp"
#include "base/str.hpp"

namespace gristmill::runtime::test {

Proofs::Proofs(const std::string& path) {
  const Json all = read_json_file(path);
  for (const Json& entry : all.as_array()) {
    const Json* kernels = entry.find("kernels");
    proofs_.push_back({entry.at("kind").as_string(), entry.at("file").as_string(),
                       entry.at("text").as_string(), kernels == nullptr ? "" : kernels->as_string(),
                       entry.at("proof").as_string(), entry.at("most").as_uint(), 0});
  }
}

const Proof* Proofs::of(const Judged& judged, const SourceLine& source) {
  const std::string kernel = str(judged.module, "/", judged.mutant.kernel);
  for (Proof& proof : proofs_) {
    if (proof.kind == to_string(judged.mutant.kind) && proof.file == source.file &&
        proof.text == source.text && kernel.find(proof.kernels) != std::string::npos &&
        proof.used < proof.most) {
      ++proof.used;
      return &proof;
    }
  }
  return nullptr;
}

std::vector<Proof> Proofs::unused() const {
  std::vector<Proof> left;
  for (const Proof& proof : proofs_) {
    if (proof.used == 0) left.push_back(proof);
  }
  return left;
}

}  // namespace gristmill::runtime::test
