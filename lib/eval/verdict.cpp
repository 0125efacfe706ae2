#include "eval/verdict.hpp"

#include <cmath>
#include <utility>

#include "base/error.hpp"
#include "text/utf8.hpp"

namespace gristmill::eval {

namespace {

/// A string, or a number as its text: ids come as both.
std::string text_of(const Json& json, std::string_view where, std::string_view key) {
  if (json.is_string()) return json.as_string();
  if (json.is_integer()) return str(json.as_int());
  fail(Kind::input, where, ": \"", key, "\" is neither a string nor an integer");
}

std::string text_at(const Json& json, std::string_view where, std::initializer_list<std::string_view> keys) {
  for (const auto key : keys) {
    if (const Json* value = json.find(key); value != nullptr && !value->is_null())
      return text_of(*value, where, key);
  }
  return {};
}

int64_t length_at(const Json& json, std::string_view where, std::string_view length_key,
                  std::string_view text_key) {
  if (const Json* value = json.find(length_key); value != nullptr && !value->is_null()) {
    if (!value->is_integer() || value->as_int() < 0) {
      fail(Kind::input, where, ": \"", length_key, "\" is no length");
    }
    return value->as_int();
  }
  const Json* text = text_key.empty() ? nullptr : json.find(text_key);
  if (text == nullptr || !text->is_string()) return -1;
  return static_cast<int64_t>(text::count_code_points(text->as_string()));
}

/// The number itself, checked to lie in [low, high].
double number_in(const Json& json, std::string_view where, std::string_view key, double low, double high) {
  if (!json.is_number()) fail(Kind::input, where, ": \"", key, "\" is no number");
  const double value = json.as_double();
  if (!(value >= low && value <= high)) {
    fail(Kind::input, where, ": \"", key, "\" is ", value, ", expected between ", low, " and ", high);
  }
  return value;
}

double preference_of_winner(const std::string& winner, std::string_view where) {
  if (winner == "model_a" || winner == "left") return 1;
  if (winner == "model_b" || winner == "right") return 0;
  if (winner == "tie" || winner == "tie (bothbad)") return 0.5;
  fail(Kind::input, where, ": winner ", in_quotes(winner),
       " is none of model_a, model_b, left, right, tie, tie (bothbad)");
}

/// AlpacaEval: 1 = the baseline (first) is better, 2 = the model; 0 is an old spelling of a tie.
std::optional<Verdict> parse_alpaca(const Json& json, const Json& preference, std::string_view where) {
  Verdict verdict;
  verdict.id = text_at(json, where, {"inst", "id", "instruction"});
  verdict.model_a = text_at(json, where, {"generator_1"});
  verdict.model_b = text_at(json, where, {"generator_2"});
  if (verdict.model_a.empty()) verdict.model_a = "baseline";
  if (verdict.model_b.empty()) verdict.model_b = "model";
  verdict.length_a = length_at(json, where, "len_1", "output_1");
  verdict.length_b = length_at(json, where, "len_2", "output_2");
  if (preference.is_null()) return std::nullopt;
  double value = number_in(preference, where, "preference", 0, 2);
  if (value == 0) value = 1.5;
  if (value < 1) fail(Kind::input, where, ": an AlpacaEval preference is 0 or between 1 and 2, not ", value);
  verdict.preference = 2 - value;
  return verdict;
}

void carry_extra(const Json& json, Verdict& verdict) {
  static constexpr std::string_view kKnown[] = {"id",      "prompt_id", "question_id", "model_a",
                                                "model_b", "left",      "right",       "preference",
                                                "winner",  "length_a",  "length_b"};
  for (const auto& [key, value] : json.as_object()) {
    bool known = false;
    for (const auto name : kKnown) known |= key == name;
    if (!known) verdict.extra[key] = value;
  }
}

}  // namespace

std::string_view winner_name(double preference) {
  return preference > 0.5 ? "model_a" : preference < 0.5 ? "model_b" : "tie";
}

std::optional<Verdict> Verdict::parse(std::string_view line, std::string_view where) {
  const Json json = Json::parse(line, where);
  if (!json.is_object()) fail(Kind::input, where, ": a verdict is a JSON object");
  Verdict verdict;
  verdict.model_a = text_at(json, where, {"model_a", "left"});
  verdict.model_b = text_at(json, where, {"model_b", "right"});
  const Json* preference = json.find("preference");
  if (verdict.model_a.empty() && verdict.model_b.empty()) {
    if (preference == nullptr) preference = json.find("pref");
    if (preference != nullptr) return parse_alpaca(json, *preference, where);
  }
  if (verdict.model_a.empty() || verdict.model_b.empty()) {
    fail(Kind::input, where, ": a verdict names its two models, model_a and model_b");
  }
  if (verdict.model_a == verdict.model_b) {
    fail(Kind::input, where, ": ", in_quotes(verdict.model_a), " is compared with itself");
  }
  verdict.id = text_at(json, where, {"id", "prompt_id", "question_id"});
  verdict.length_a = length_at(json, where, "length_a", "");
  verdict.length_b = length_at(json, where, "length_b", "");
  carry_extra(json, verdict);
  if (preference != nullptr) {
    if (preference->is_null()) return std::nullopt;
    verdict.preference = number_in(*preference, where, "preference", 0, 1);
    return verdict;
  }
  const Json* winner = json.find("winner");
  if (winner == nullptr || !winner->is_string()) {
    fail(Kind::input, where, ": a verdict has a \"preference\" or a \"winner\"");
  }
  verdict.preference = preference_of_winner(winner->as_string(), where);
  return verdict;
}

Json Verdict::to_json() const {
  Json json = Json::object();
  if (!id.empty()) json["id"] = id;
  json["model_a"] = model_a;
  json["model_b"] = model_b;
  json["preference"] = preference;
  json["winner"] = winner_name(preference);
  if (length_a >= 0) json["length_a"] = length_a;
  if (length_b >= 0) json["length_b"] = length_b;
  for (const auto& [key, value] : extra.as_object()) json[key] = value;
  return json;
}

std::vector<Verdict> read_verdicts(shard::Reader& reader, Stats& stats) {
  std::vector<Verdict> verdicts;
  std::string_view line;
  while (reader.next(line)) {
    ++stats.records_in;
    if (auto verdict = Verdict::parse(line, reader.where())) {
      verdicts.push_back(std::move(*verdict));
    } else {
      stats.drop("unjudged");
    }
  }
  stats.bytes_in = reader.bytes_read();
  if (verdicts.empty()) fail(Kind::input, "no verdicts in the input: nothing to count");
  return verdicts;
}

}  // namespace gristmill::eval
