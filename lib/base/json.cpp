#include "base/json.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/error.hpp"
#include "base/file.hpp"

namespace gristmill {

namespace {

[[noreturn]] void wrong_type(const char* wanted) { fail(Kind::input, "JSON value is not ", wanted); }

/// Builds a Json from the parser's events on a stack of our own, so that depth is bounded by a number and
/// not by the machine's stack.
class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Builder(int max_depth) : max_depth_(max_depth) {}
  bool null() override { return put(Json()); }
  bool boolean(bool value) override { return put(Json(value)); }
  bool number_integer(number_integer_t value) override { return put(Json(static_cast<int64_t>(value))); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value <= INT64_MAX) return put(Json(static_cast<int64_t>(value)));
    return put(Json(static_cast<uint64_t>(value)));
  }
  bool number_float(number_float_t value, const string_t&) override { return put(Json(value)); }
  bool string(string_t& value) override { return put(Json(std::move(value))); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_array() override { return close(); }
  bool key(string_t& value) override {
    keys_.back() = std::move(value);
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    if (problem.empty()) problem = str("not valid JSON at byte ", static_cast<uint64_t>(position));
    return false;
  }

  Json result;
  std::string problem;

 private:
  bool put(Json value) {
    if (open_.empty()) {
      result = std::move(value);
    } else if (open_.back().is_array()) {
      open_.back().push_back(std::move(value));
    } else {
      put_member(open_.back().as_object(), std::move(value));
    }
    return true;
  }
  void put_member(Json::Object& object, Json value) {
    // Small objects are searched as they grow, large ones (vocabularies) once when they end.
    if (object.size() < kSearched) {
      for (auto& member : object) {
        if (member.first == keys_.back()) {
          member.second = std::move(value);
          return;
        }
      }
    }
    object.emplace_back(std::move(keys_.back()), std::move(value));
  }
  /// Of equal keys keeps the place of the first and the value of the last.
  static void merge_equal_keys(Json::Object& object) {
    std::unordered_map<std::string_view, size_t> place;
    std::vector<bool> superseded(object.size());
    bool any = false;
    for (size_t i = 0; i < object.size(); ++i) {
      const auto [first, is_new] = place.emplace(object[i].first, i);
      if (is_new) continue;
      object[first->second].second = std::move(object[i].second);
      superseded[i] = any = true;
    }
    if (!any) return;
    Json::Object kept;
    for (size_t i = 0; i < object.size(); ++i) {
      if (!superseded[i]) kept.push_back(std::move(object[i]));
    }
    object = std::move(kept);
  }
  bool open(Json container) {
    if (static_cast<int>(open_.size()) >= max_depth_) {
      problem = str("JSON is nested deeper than ", max_depth_, " levels");
      return false;
    }
    open_.push_back(std::move(container));
    keys_.emplace_back();
    return true;
  }
  bool close() {
    Json done = std::move(open_.back());
    open_.pop_back();
    keys_.pop_back();
    if (done.is_object() && done.as_object().size() > kSearched) merge_equal_keys(done.as_object());
    return put(std::move(done));
  }

  static constexpr size_t kSearched = 64;
  int max_depth_;
  std::vector<Json> open_;
  std::vector<std::string> keys_;
};

/// Length of the valid UTF-8 sequence at `at`, or 0.
size_t utf8_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  const unsigned lead = byte(0);
  const auto tail = [&](size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
    return byte(i) >= low && byte(i) <= high;
  };
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return tail(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    return tail(1, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF) && tail(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    return tail(1, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

void append_escape(std::string& out, unsigned char c) {
  static constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    default:
      out += {'\\', 'u', '0', '0', kHex[c >> 4], kHex[c & 15]};
  }
}

void append_double(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  std::array<char, 40> text{};
  const auto result = std::to_chars(text.data(), text.data() + text.size(), value);
  const std::string_view digits(text.data(), static_cast<size_t>(result.ptr - text.data()));
  out += digits;
  if (digits.find_first_of(".e") == std::string_view::npos) out += ".0";
}

void newline(std::string& out, int indent, int depth) {
  if (indent < 0) return;
  out += '\n';
  out.append(static_cast<size_t>(indent * depth), ' ');
}

// Recursion is bounded: parse() caps the depth, and what we build ourselves is a few levels deep.
void append_value(std::string& out, const Json& value, int indent, int depth) {
  if (value.is_null()) {
    out += "null";
  } else if (value.is_bool()) {
    out += value.as_bool() ? "true" : "false";
  } else if (value.is_string()) {
    append_json_string(out, value.as_string());
  } else if (value.is_array()) {
    out += '[';
    bool first = true;
    for (const auto& item : value.as_array()) {
      if (!first) out += ',';
      first = false;
      newline(out, indent, depth + 1);
      append_value(out, item, indent, depth + 1);
    }
    if (!first) newline(out, indent, depth);
    out += ']';
  } else if (value.is_object()) {
    out += '{';
    bool first = true;
    for (const auto& [key, item] : value.as_object()) {
      if (!first) out += ',';
      first = false;
      newline(out, indent, depth + 1);
      append_json_string(out, key);
      out += indent < 0 ? ":" : ": ";
      append_value(out, item, indent, depth + 1);
    }
    if (!first) newline(out, indent, depth);
    out += '}';
  } else if (!value.is_integer()) {
    append_double(out, value.as_double());
  } else if (value.as_double() < 0) {
    out += str(value.as_int());
  } else {
    out += str(value.as_uint());
  }
}

}  // namespace

bool Json::as_bool() const {
  if (const auto* value = std::get_if<bool>(&value_)) return *value;
  wrong_type("true or false");
}

int64_t Json::as_int() const {
  if (const auto* value = std::get_if<int64_t>(&value_)) return *value;
  wrong_type("an integer that fits 64 bits");
}

uint64_t Json::as_uint() const {
  if (const auto* value = std::get_if<uint64_t>(&value_)) return *value;
  if (const auto* value = std::get_if<int64_t>(&value_); value != nullptr && *value >= 0) {
    return static_cast<uint64_t>(*value);
  }
  wrong_type("a non-negative integer");
}

double Json::as_double() const {
  if (const auto* value = std::get_if<double>(&value_)) return *value;
  if (const auto* value = std::get_if<int64_t>(&value_)) return static_cast<double>(*value);
  if (const auto* value = std::get_if<uint64_t>(&value_)) return static_cast<double>(*value);
  wrong_type("a number");
}

const std::string& Json::as_string() const {
  if (const auto* value = std::get_if<std::string>(&value_)) return *value;
  wrong_type("a string");
}

const Json::Array& Json::as_array() const {
  if (const auto* value = std::get_if<Array>(&value_)) return *value;
  wrong_type("an array");
}

Json::Array& Json::as_array() {
  if (auto* value = std::get_if<Array>(&value_)) return *value;
  wrong_type("an array");
}

const Json::Object& Json::as_object() const {
  if (const auto* value = std::get_if<Object>(&value_)) return *value;
  wrong_type("an object");
}

Json::Object& Json::as_object() {
  if (auto* value = std::get_if<Object>(&value_)) return *value;
  wrong_type("an object");
}

const Json* Json::find(std::string_view key) const {
  const auto* object = std::get_if<Object>(&value_);
  if (object == nullptr) return nullptr;
  for (const auto& member : *object) {
    if (member.first == key) return &member.second;
  }
  return nullptr;
}

Json* Json::find(std::string_view key) { return const_cast<Json*>(std::as_const(*this).find(key)); }

const Json& Json::at(std::string_view key) const {
  if (const Json* value = find(key)) return *value;
  fail(Kind::input, "JSON key \"", key, "\" is missing");
}

Json& Json::operator[](std::string_view key) {
  if (is_null()) value_ = Object{};
  if (Json* value = find(key)) return *value;
  return as_object().emplace_back(std::string(key), Json()).second;
}

void Json::erase(std::string_view key) {
  std::erase_if(as_object(), [&](const Member& member) { return member.first == key; });
}

void Json::push_back(Json value) {
  if (is_null()) value_ = Array{};
  as_array().push_back(std::move(value));
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == '"' || c == '\\') {
      append_escape(out, c);
      ++i;
      continue;
    }
    const size_t length = utf8_length(text, i);
    out += length > 0 ? text.substr(i, length) : std::string_view("\xEF\xBF\xBD");
    i += length > 0 ? length : 1;
  }
  out += '"';
}

std::string Json::dump(int indent) const {
  std::string out;
  append_value(out, *this, indent, 0);
  return out;
}

Json Json::parse(std::string_view text, std::string_view where, int max_depth) {
  Builder builder(max_depth);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) {
    fail(Kind::input, where, ": ", builder.problem.empty() ? "not valid JSON" : builder.problem);
  }
  return std::move(builder.result);
}

Json read_json_file(const std::string& path, uint64_t limit) {
  return Json::parse(read_file(path, limit), path);
}

}  // namespace gristmill
