#pragma once

// Catch2 2.13 (Debian 12) and 3.x (Debian 13) differ in their headers and in some names; this is the one
// place that knows.
#include <string>

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif

namespace gristmill::test {

/// Matches a text that contains `part`: CHECK_THROWS_WITH(call(), contains("no such file")).
inline auto contains(const std::string& part) {
#if __has_include(<catch2/catch_all.hpp>)
  return Catch::Matchers::ContainsSubstring(part);
#else
  return Catch::Matchers::Contains(part);
#endif
}

}  // namespace gristmill::test
