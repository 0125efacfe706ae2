// Texts with known verdicts: each line of a case file names a filter, its parameters, a text and what is
// expected. The external file holds cases of published filters; testdata/curate/filter_cases.jsonl is ours,
// in the same form.

#include <algorithm>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "curate/filter.hpp"
#include "support/catch.hpp"
#include "support/data.hpp"

using namespace gristmill;
using namespace gristmill::curate;

namespace {

/// The case's text: "text", or "prefix" and a piece repeated.
std::string text_of(const Json& item) {
  if (const Json* text = item.find("text")) return text->as_string();
  std::string out;
  if (const Json* prefix = item.find("prefix")) out = prefix->as_string();
  const Json* pieces = item.find("text_expr");
  if (pieces == nullptr) return out;
  const auto& piece = pieces->as_array().at(0).as_string();
  for (int64_t i = 0; i < pieces->as_array().at(1).as_int(); ++i) out += piece;
  return out;
}

FilterOptions options_of(const std::string& filter, const Json* params) {
  static const std::vector<std::pair<std::string, std::string>> kSteps = {{"gopher_rep", "gopher_repetition"},
                                                                          {"c4_paragraph", "c4_paragraphs"}};
  std::string step = filter;
  for (const auto& [name, ours] : kSteps) step = name == filter ? ours : step;
  FilterOptions options = recipe("none");
  options.steps = {parse_step(step)};
  if (params == nullptr) return options;
  for (const auto& [key, value] : params->as_object()) {
    if (key == "extra_domains") {
      for (const auto& domain : value.as_array()) options.url.domains.push_back(domain.as_string());
    } else {
      set_constant(options, step + "." + key, value.dump());
    }
  }
  return options;
}

void check_verdict(const Json& item, const std::string& filter) {
  shard::Document document;
  document.text = text_of(item);
  if (const Json* url = item.find("url")) document.url = url->as_string();
  Sheet sheet(false);
  Scratch scratch;
  Filter(options_of(filter, item.find("params"))).judge(document, sheet, scratch);
  const std::string reason = sheet.failure() == nullptr ? "keep" : sheet.failure()->rule;
  if (const Json* absent = item.find("expect_not_contains")) {
    CHECK(document.text.find(absent->as_string()) == std::string::npos);
    CHECK(reason == "keep");
    return;
  }
  const auto& expected = item.at("expect").as_string();
  if (expected == "drop") {
    CHECK(reason != "keep");
  } else {
    CHECK(reason == expected);
  }
}

std::vector<Span> find(const std::string& filter, const std::string& text, bool public_only) {
  if (filter == "pii_email") return find_emails(text);
  if (filter == "pii_phone") return find_phones(text);
  return find_ips(text, public_only);
}

void check_masks(const Json& item, const std::string& filter) {
  const Json* params = item.find("params");
  const bool public_only = params != nullptr && params->at("public_only").as_bool();
  const auto mask = filter == "pii_email" ? kEmailMask : filter == "pii_phone" ? kPhoneMask : kIpMask;
  if (const Json* cases = item.find("cases")) {
    const std::string short_name = filter == "pii_email" ? "EMAIL" : "IP";
    for (const auto& pair : cases->as_array()) {
      const auto& text = pair.as_array().at(0).as_string();
      const auto& expected = pair.as_array().at(1).as_string();
      CHECK(masked(text, find(filter, text, public_only), short_name) ==
            (expected == "same" ? text : expected));
    }
    return;
  }
  const std::string text = text_of(item);
  const auto spans = find(filter, text, public_only);
  const std::string result = masked(text, spans, mask);
  CHECK(result == item.at("expect_text").as_string());
  CHECK(static_cast<int64_t>(spans.size()) == item.at("expect_n").as_int());
  CHECK(find(filter, result, public_only).empty());
}

int check_file(const std::string& path) {
  LineReader lines(path);
  int count = 0;
  for (std::string_view line; lines.next(line); ++count) {
    const Json item = Json::parse(line, path);
    const auto& filter = item.at("filter").as_string();
    INFO("case " << count + 1 << ": " << line.substr(0, 300));
    if (filter.starts_with("pii")) {
      check_masks(item, filter);
    } else {
      check_verdict(item, filter);
    }
  }
  return count;
}

}  // namespace

TEST_CASE("published filter cases have their verdicts", "[curate]") {
  REQUIRE_EXTERNAL_DATA(path, "web/fixtures/filter_cases.jsonl");
  CHECK(check_file(path.string()) == 45);
}

TEST_CASE("our own filter cases have their verdicts", "[curate]") {
  CHECK(check_file(test::testdata("curate/filter_cases.jsonl").string()) >= 30);
}
