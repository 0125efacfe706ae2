#include "base/environment.hpp"

#include <cstdlib>

#include "support/catch.hpp"

using namespace gristmill;

TEST_CASE("an environment variable that is unset or empty is absent", "[base]") {
  ::setenv("GRISTMILL_TEST_VARIABLE", "avx2", 1);
  CHECK(environment_variable("GRISTMILL_TEST_VARIABLE") == "avx2");
  ::setenv("GRISTMILL_TEST_VARIABLE", "", 1);
  CHECK_FALSE(environment_variable("GRISTMILL_TEST_VARIABLE"));
  ::unsetenv("GRISTMILL_TEST_VARIABLE");
  CHECK_FALSE(environment_variable("GRISTMILL_TEST_VARIABLE"));
}
