#pragma once

// A JSON value of our own: light to include (nlohmann/json, which parses, is seen by json.cpp alone), keeps
// the order of keys, and carries unknown keys through unchanged.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace gristmill {

class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;

  Json() = default;
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  Json(int value) : value_(static_cast<int64_t>(value)) {}
  Json(int64_t value) : value_(value) {}
  /// As the parser does it: what fits int64_t is one, so that equal numbers compare equal.
  Json(uint64_t value) {
    if (value <= INT64_MAX) {
      value_ = static_cast<int64_t>(value);
    } else {
      value_ = value;
    }
  }
  Json(double value) : value_(value) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}
  static Json object() { return Json(Object{}); }
  static Json array() { return Json(Array{}); }

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }
  bool is_integer() const {
    return std::holds_alternative<int64_t>(value_) || std::holds_alternative<uint64_t>(value_);
  }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(value_); }

  /// Typed access; a value of another type is Error{input} that names the wanted type.
  bool as_bool() const;
  int64_t as_int() const;
  uint64_t as_uint() const;
  double as_double() const;  ///< any number
  const std::string& as_string() const;
  const Array& as_array() const;
  Array& as_array();
  const Object& as_object() const;
  Object& as_object();

  /// Pointer to a member, or null if this is no object or has no such key.
  const Json* find(std::string_view key) const;
  Json* find(std::string_view key);
  /// A member that must be there: Error{input} naming the key otherwise.
  const Json& at(std::string_view key) const;
  /// The member, made (null) at the end if absent. A null value becomes an object.
  Json& operator[](std::string_view key);
  void erase(std::string_view key);
  void push_back(Json value);  ///< a null value becomes an array

  /// Compact text (indent < 0) or indented. Bytes that are no UTF-8 become U+FFFD; NaN and infinity null.
  std::string dump(int indent = -1) const;

  /// Reads one JSON value. Nesting deeper than `max_depth`, a rest behind it or bad UTF-8 is
  /// Error{input}, whose message starts with `where`. Of equal keys the last wins, as in most readers.
  static Json parse(std::string_view text, std::string_view where = "JSON", int max_depth = 200);

  friend bool operator==(const Json&, const Json&) = default;

 private:
  std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, Array, Object> value_;
};

/// Appends a JSON string literal, quotes included.
void append_json_string(std::string& out, std::string_view text);

/// Reads a file that holds one JSON value of at most `limit` bytes.
Json read_json_file(const std::string& path, uint64_t limit = uint64_t{1} << 30);

}  // namespace gristmill
