#include "parity.hpp"
#include "support/catch.hpp"

using namespace gristmill::runtime::test;

TEST_CASE("norms, activations and positions on a GPU keep the contract", "[cuda]") {
  check_exact(norm_scenarios());
}
TEST_CASE("norms, activations and positions on a GPU keep the contract in bf16", "[cuda]") {
  check_mixed(norm_scenarios());
}
