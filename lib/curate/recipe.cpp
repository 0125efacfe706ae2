#include "curate/recipe.hpp"

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/str.hpp"
#include "base/toml.hpp"

namespace gristmill::curate {

namespace {

constexpr std::array<std::pair<const char*, Step>, 7> kSteps = {
    {{"url", Step::url},
     {"gopher_repetition", Step::gopher_repetition},
     {"gopher_quality", Step::gopher_quality},
     {"c4", Step::c4},
     {"c4_paragraphs", Step::c4_paragraphs},
     {"fineweb", Step::fineweb},
     {"pii", Step::pii}}};

std::string step_names() {
  std::vector<std::string> names;
  for (const auto& [name, step] : kSteps) names.emplace_back(name);
  return join(names, ", ");
}

/// Calls visit(table, key, field) for every constant; the one list of their names.
template <class Options, class Visit>
void visit_gopher(Options& o, const Visit& visit) {
  auto& r = o.gopher_repetition;
  visit("gopher_repetition", "dup_para_frac", r.dup_para_frac);
  visit("gopher_repetition", "dup_para_char_frac", r.dup_para_char_frac);
  visit("gopher_repetition", "dup_line_frac", r.dup_line_frac);
  visit("gopher_repetition", "dup_line_char_frac", r.dup_line_char_frac);
  for (size_t i = 0; i < r.top_n_grams.size(); ++i) {
    visit("gopher_repetition", str("top_", i + 2, "_gram"), r.top_n_grams[i]);
  }
  for (size_t i = 0; i < r.duplicated_n_grams.size(); ++i) {
    visit("gopher_repetition", str("duplicated_", i + 5, "_n_grams"), r.duplicated_n_grams[i]);
  }
  auto& q = o.gopher_quality;
  visit("gopher_quality", "min_doc_words", q.min_doc_words);
  visit("gopher_quality", "max_doc_words", q.max_doc_words);
  visit("gopher_quality", "min_avg_word_length", q.min_avg_word_length);
  visit("gopher_quality", "max_avg_word_length", q.max_avg_word_length);
  visit("gopher_quality", "max_symbol_word_ratio", q.max_symbol_word_ratio);
  visit("gopher_quality", "max_bullet_lines_ratio", q.max_bullet_lines_ratio);
  visit("gopher_quality", "max_ellipsis_lines_ratio", q.max_ellipsis_lines_ratio);
  visit("gopher_quality", "min_alpha_words_ratio", q.min_alpha_words_ratio);
  visit("gopher_quality", "min_stop_words", q.min_stop_words);
}

template <class Options, class Visit>
void visit_constants(Options& o, const Visit& visit) {
  visit("url", "words", o.url.words);
  visit("url", "soft_word_threshold", o.url.soft_word_threshold);
  visit_gopher(o, visit);
  visit("c4", "terminal_punctuation", o.c4.terminal_punctuation);
  visit("c4", "remove_citations", o.c4.remove_citations);
  visit("c4", "min_words_per_line", o.c4.min_words_per_line);
  visit("c4", "max_word_length", o.c4.max_word_length);
  visit("c4", "min_num_sentences", o.c4.min_num_sentences);
  visit("c4_paragraphs", "min_paragraphs", o.c4_paragraphs.min_paragraphs);
  visit("c4_paragraphs", "min_paragraph_length", o.c4_paragraphs.min_paragraph_length);
  visit("fineweb", "line_punct_thr", o.fineweb.line_punct_thr);
  visit("fineweb", "short_line_thr", o.fineweb.short_line_thr);
  visit("fineweb", "short_line_length", o.fineweb.short_line_length);
  visit("fineweb", "char_duplicates_ratio", o.fineweb.char_duplicates_ratio);
  visit("fineweb", "new_line_ratio", o.fineweb.new_line_ratio);
  visit("pii", "email", o.pii.email);
  visit("pii", "ip", o.pii.ip);
  visit("pii", "phone", o.pii.phone);
  visit("pii", "public_only", o.pii.public_only);
}

template <class T>
void set_field(T& field, std::string_view name, std::string_view value) {
  if constexpr (std::is_same_v<T, bool>) {
    if (value != "true" && value != "false")
      fail(Kind::usage, name, " is true or false, not ", in_quotes(value));
    field = value == "true";
  } else if constexpr (std::is_same_v<T, double>) {
    const auto number = parse_double(value);
    if (!number) fail(Kind::usage, name, " is a number, not ", in_quotes(value));
    field = *number;
  } else {
    const auto number = parse_int(value);
    if (!number) fail(Kind::usage, name, " is a whole number, not ", in_quotes(value));
    field = *number;
  }
}

}  // namespace

std::string to_string(Step step) {
  for (const auto& [name, known] : kSteps) {
    if (known == step) return name;
  }
  fail(Kind::internal, "a filter step without a name");
}

Step parse_step(std::string_view name) {
  for (const auto& [known, step] : kSteps) {
    if (known == name) return step;
  }
  fail(Kind::usage, in_quotes(name), " is no filter step; there are ", step_names());
}

std::vector<std::string> recipe_names() { return {"fineweb", "gopher", "c4", "mc4", "none"}; }

FilterOptions recipe(std::string_view name) {
  FilterOptions options;
  options.pii.action = PiiAction::keep;
  if (name == "gopher") {
    options.steps = {Step::gopher_quality, Step::gopher_repetition};
  } else if (name == "c4") {
    options.steps = {Step::c4};
  } else if (name == "mc4") {
    options.steps = {Step::c4_paragraphs};
  } else if (name == "fineweb") {
    options.steps = {Step::url, Step::gopher_repetition, Step::gopher_quality,
                     Step::c4,  Step::fineweb,           Step::pii};
    options.c4.terminal_punctuation = false;
    options.pii.action = PiiAction::mask;
  } else if (name != "none") {
    fail(Kind::usage, in_quotes(name), " is no recipe; there are ", join(recipe_names(), ", "));
  }
  return options;
}

void set_constant(FilterOptions& options, std::string_view name, std::string_view value) {
  bool found = false;
  visit_constants(options, [&](std::string_view table, std::string_view key, auto& field) {
    if (str(table, ".", key) != name) return;
    set_field(field, name, value);
    found = true;
  });
  if (!found) fail(Kind::usage, in_quotes(name), " is no constant of a filter rule");
}

FilterOptions read_rules(const std::string& path) {
  const auto settings = flatten_toml(parse_toml(read_file(path, 1 << 20), path));
  FilterOptions options = recipe("none");
  for (const auto& setting : settings) {
    if (setting.tables.empty() && setting.key == "recipe" && !setting.values.empty())
      options = recipe(setting.values[0]);
  }
  for (const auto& setting : settings) {
    const bool top = setting.tables.empty();
    if (top && setting.key == "recipe") continue;
    if (top && setting.key == "steps") {
      options.steps.clear();
      for (const auto& name : setting.values) options.steps.push_back(parse_step(name));
    } else if (setting.tables.size() == 1 && setting.values.size() == 1) {
      set_constant(options, str(setting.tables[0], ".", setting.key), setting.values[0]);
    } else {
      fail(Kind::usage, path, ": unknown key ", in_quotes(setting.key),
           "; a rules file has recipe, steps and one table a step");
    }
  }
  return options;
}

Json to_json(const FilterOptions& options) {
  Json json = Json::object();
  Json steps = Json::array();
  for (const auto step : options.steps) steps.push_back(to_string(step));
  json["steps"] = steps;
  visit_constants(options, [&](std::string_view table, std::string_view key, const auto& field) {
    const auto used = [&](Step step) { return to_string(step) == table; };
    if (std::any_of(options.steps.begin(), options.steps.end(), used)) json[table][key] = field;
  });
  static constexpr std::array<const char*, 3> kActions = {"keep", "mask", "drop"};
  json["pii_action"] = kActions[static_cast<size_t>(options.pii.action)];
  json["max_document_bytes"] = options.max_document_bytes;
  json["tag_only"] = options.tag_only;
  return json;
}

}  // namespace gristmill::curate
