// The language-model head on the emulated GPU, and what the contract's scenarios do not reach: several chunks
// of rows.

#include <cstdint>

#include "base/error.hpp"
#include "parity.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

/// More rows than the largest chunk has. Small weights, since sums over so many rows are large.
Scenario chunks(bool accumulate) {
  return {
      "head_backward in chunks", tolerance_of("head_backward"), [=](Lab& lab) {
        constexpr int64_t kRows = 4200, kWidth = 3, kVocabulary = 6;
        const View hidden = lab.computed(kRows, kWidth), weight = lab.real(kVocabulary, kWidth),
                   targets = lab.random_ints(kRows, kVocabulary), dhidden = lab.computed(kRows, kWidth),
                   dweight = lab.real(kVocabulary, kWidth);
        const HeadValues values = {lab.real(kRows, 1), lab.real(kRows, 1), lab.real(kRows, 1)};
        const HeadGradients gradients = {lab.real(kRows, 1, 0.01), {}, lab.real(kRows, 1, 0.01)};
        lab.backend().head(values, hidden, weight, targets, 0.5);
        const Outputs before = {lab.read(values.log_prob), lab.read(values.lse), lab.read(values.entropy)};
        lab.backend().head_backward(dhidden, accumulate, dweight, values, hidden, weight, targets, gradients,
                                    0.5);
        CHECK((lab.read(values.log_prob) == before[0]));
        CHECK((lab.read(values.entropy) == before[2]));
        return Outputs{lab.read(dhidden), lab.read(dweight), before[0], before[1], before[2]};
      }};
}

}  // namespace

TEST_CASE("the head on a GPU keeps the contract", "[cuda]") { check_exact(head_scenarios()); }
TEST_CASE("the head on a GPU keeps the contract in bf16", "[cuda]") { check_mixed(head_scenarios()); }
TEST_CASE("the head's weight gets its gradient over all chunks of rows", "[cuda]") {
  check_exact({chunks(true), chunks(false)});
}
TEST_CASE("the head's weight gets its gradient over all chunks of rows in bf16", "[cuda]") {
  check_mixed({chunks(true), chunks(false)});
}

TEST_CASE("logits far apart neither overflow nor vanish in the head's softmax", "[cuda]") {
  check_exact({{"head of large logits", 1e-6, [](Lab& lab) {
                  const View hidden = lab.values(2, 1, {1, -1}),
                             weight = lab.values(5, 1, {-300, 200, 199, -2000, 0}),
                             targets = lab.ints({2, 3});
                  const HeadValues values = {lab.real(2, 1), lab.real(2, 1), lab.real(2, 1)};
                  lab.backend().head(values, hidden, weight, targets, 1);
                  return Outputs{lab.read(values.log_prob), lab.read(values.lse), lab.read(values.entropy)};
                }}});
}

TEST_CASE("a target that is no token stops a GPU", "[cuda]") {
  const auto device = open_parity_device(1);
  Lab lab(*device);
  const HeadValues values = {lab.real(2, 1), {}, {}};
  lab.backend().head(values, lab.real(2, 3), lab.real(5, 3), lab.ints({4, 5}), 1);
  CHECK_THROWS_AS(lab.read(values.log_prob), Error);
}
