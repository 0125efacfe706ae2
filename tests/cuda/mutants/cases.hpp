#pragma once

#include <string>
#include <vector>

namespace gristmill::runtime::test {

/// The names of this program's test cases, in the order of the files.
std::vector<std::string> case_names();

/// Runs the test case of this name and says nothing; whether it passes. Once a process.
bool run_case(const std::string& name);

}  // namespace gristmill::runtime::test
