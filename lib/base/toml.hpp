#pragma once

// TOML, read into our JSON value: the language of configuration and rule files. All of TOML 1.0 but dates,
// multi-line strings and arrays of tables ([[x]]), which nothing here needs; those are errors.

#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"

namespace gristmill {

/// Reads a TOML text as an object, keys in their order. A damaged text or a key given twice is Error{usage}
/// that starts with `where` and names the line.
Json parse_toml(std::string_view text, std::string_view where = "TOML");

/// One value of a TOML text with the tables that it stands in; an array gives several values.
struct TomlSetting {
  std::vector<std::string> tables;
  std::string key;
  std::vector<std::string> values;  ///< strings as they are, the rest as JSON text
};
std::vector<TomlSetting> flatten_toml(const Json& document);

}  // namespace gristmill
