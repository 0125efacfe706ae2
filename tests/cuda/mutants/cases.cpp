// Catch2 without its main(): version 2 gives its Session only to a file that says so before the include.
#define CATCH_CONFIG_RUNNER
#include "cuda/mutants/cases.hpp"

#include <array>

#include "support/catch.hpp"

namespace gristmill::runtime::test {

namespace {

template <class TestCase>
std::string name_of(const TestCase& test) {
  if constexpr (requires { test.getTestCaseInfo(); }) {  // version 3
    return test.getTestCaseInfo().name;
  } else {
    return test.name;
  }
}

}  // namespace

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const auto& test : Catch::getRegistryHub().getTestCaseRegistry().getAllTests()) {
    names.push_back(name_of(test));
  }
  return names;
}

bool run_case(const std::string& name) {
  std::string pattern;
  for (const char c : name) {
    if (c == ',' || c == '[' || c == ']' || c == '\\') pattern += '\\';
    pattern += c;
  }
  const std::array<const char*, 6> arguments = {"kernel-mutants", pattern.c_str(), "--reporter",
                                                "compact",        "--out",         "/dev/null"};
  return Catch::Session().run(static_cast<int>(arguments.size()), arguments.data()) == 0;
}

}  // namespace gristmill::runtime::test
