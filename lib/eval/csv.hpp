#pragma once

// Comma-separated values (RFC 4180) with a header line: the form in which votes and difficulty tables come
// from elsewhere.

#include <map>
#include <string>
#include <vector>

namespace gristmill::eval {

using CsvRow = std::map<std::string, std::string>;

/// All rows by column name. A row with another number of fields than the header is Error{input} with its
/// line; so is a quote that is never closed.
std::vector<CsvRow> read_csv(const std::string& path);

}  // namespace gristmill::eval
