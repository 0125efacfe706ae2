#include "parity.hpp"
#include "support/catch.hpp"

using namespace gristmill::runtime::test;

namespace {

std::vector<Scenario> routers_and_rows() {
  return only(expert_scenarios(), {"route", "route_backward", "combine_rows", "combine_rows_backward"});
}

}  // namespace

TEST_CASE("routers and combined rows on the emulated GPU keep the contract", "[cuda]") {
  check_exact(routers_and_rows());
}
TEST_CASE("routers and combined rows on the emulated GPU keep the contract in bf16", "[cuda]") {
  check_mixed(routers_and_rows());
}
