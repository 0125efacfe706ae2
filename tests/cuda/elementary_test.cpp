#include "parity.hpp"
#include "support/catch.hpp"

using namespace gristmill::runtime::test;

TEST_CASE("filling on the emulated GPU keeps the contract", "[cuda]") {
  check_exact(only(elementary_scenarios(), {"fill"}));
  check_mixed(only(elementary_scenarios(), {"fill"}));
}
