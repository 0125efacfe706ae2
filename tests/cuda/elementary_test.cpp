#include "parity.hpp"
#include "support/catch.hpp"

using namespace gristmill::runtime::test;

TEST_CASE("elementary methods on a GPU keep the contract", "[cuda]") { check_exact(elementary_scenarios()); }
TEST_CASE("elementary methods on a GPU keep the contract in bf16", "[cuda]") {
  check_mixed(elementary_scenarios());
}
