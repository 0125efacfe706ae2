#pragma once

// Which rules judge a page, in which order, with which constants. A recipe is a published sequence; a rules
// file or
// --set changes single constants of it.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "curate/c4.hpp"
#include "curate/fineweb.hpp"
#include "curate/gopher.hpp"
#include "curate/pii.hpp"
#include "curate/url_rules.hpp"

namespace gristmill::curate {

enum class Step { url, gopher_repetition, gopher_quality, c4, c4_paragraphs, fineweb, pii };

std::string to_string(Step step);
/// Error{usage} for an unknown name, with the known ones.
Step parse_step(std::string_view name);

struct FilterOptions {
  std::vector<Step> steps;
  UrlOptions url;
  GopherRepetitionOptions gopher_repetition;
  GopherQualityOptions gopher_quality;
  C4Options c4;
  C4ParagraphOptions c4_paragraphs;
  FinewebOptions fineweb;
  PiiOptions pii;
  /// Rules on words need about 22 times the text; a longer document is dropped unread as too_large. Without
  /// steps nothing is read, and nothing dropped.
  uint64_t max_document_bytes = uint64_t{64} << 20;
  bool tag_only = false;  ///< measure everything, change and drop nothing
};

/// The steps and constants of gopher, c4, mc4, fineweb or none. Error{usage} for another name.
FilterOptions recipe(std::string_view name);
std::vector<std::string> recipe_names();

/// Sets one constant, "gopher_quality.min_doc_words" for instance. Error{usage} for an unknown name or a
/// value of another kind.
void set_constant(FilterOptions& options, std::string_view name, std::string_view value);

/// Reads a rules file: `recipe = "…"` or `steps = […]`, and tables of constants.
FilterOptions read_rules(const std::string& path);

/// Steps and all constants of them, for the header of what was filtered.
Json to_json(const FilterOptions& options);

}  // namespace gristmill::curate
