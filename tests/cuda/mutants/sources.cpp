#include "cuda/mutants/sources.hpp"

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "base/str.hpp"

namespace gristmill::runtime::test {

namespace {

/// With single blanks, none at the ends.
std::string squeezed(std::string_view line) {
  std::string out;
  for (const char c : line) {
    const bool blank = c == ' ' || c == '\t' || c == '\r';
    if (!blank) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

bool starts(std::string_view text, std::string_view with) { return text.substr(0, with.size()) == with; }

/// Whether a line stands in both texts.
bool counts(std::string_view line) { return !line.empty() && !starts(line, "//"); }
bool of_lines_only(std::string_view line) {
  return starts(line, ".file ") || starts(line, "$L__tmp") || starts(line, "$L__func");
}

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(squeezed(line));
  return lines;
}

uint32_t number(std::string_view text) { return static_cast<uint32_t>(parse_uint(text).value_or(0)); }

}  // namespace

SourceLines::SourceLines(std::string_view ptx, std::string_view lined, const std::string& folder) {
  for (const std::string_view raw : split(lined, '\n')) {  // the files are named at the end
    const auto quoted = split(raw, '"');
    const std::string line = squeezed(raw);
    if (!starts(line, ".file ") || quoted.size() < 2) continue;
    const uint32_t file = number(split(line, ' ')[1]);
    names_[file] = std::filesystem::path(quoted[1]).filename().string();
    texts_[file] = lines_of(folder + "/" + names_[file]);
  }
  std::vector<std::pair<std::string, Place>> told;
  Place place;
  for (const std::string_view raw : split(lined, '\n')) {
    const std::string line = squeezed(raw);
    const auto words = split(line, ' ');
    if (starts(line, ".section")) break;
    if (starts(line, ".loc ") && words.size() > 3) {
      place = place_of(words, place);
    } else if (counts(line) && !of_lines_only(line)) {
      told.emplace_back(line, place);
    }
  }
  size_t next = 0;
  for (const std::string_view raw : split(ptx, '\n')) {
    const std::string line = squeezed(raw);
    places_.emplace_back();
    if (!counts(line)) continue;
    if (next >= told.size() || told[next].first != line) {
      fail(Kind::input, "the PTX with lines of sources is not that of the kernels, from its line ",
           places_.size(), " on: build both anew");
    }
    places_.back() = told[next++].second;
  }
}

/// Of ".loc FILE LINE COLUMN, function_name …, inlined_at FILE LINE COLUMN"; line 0 says nothing.
SourceLines::Place SourceLines::place_of(const std::vector<std::string_view>& words,
                                         const Place& last) const {
  const Place place = {number(words[1]), number(words[2])};
  if (place.line == 0) return last;
  const auto texts = texts_.find(place.file);
  if (words.size() < 9 || (texts != texts_.end() && !texts->second.empty())) return place;
  return {number(words[7]), number(words[8])};
}

SourceLine SourceLines::at(uint32_t line) const {
  if (line == 0 || line > places_.size() || places_[line - 1].line == 0) return {};
  const Place& place = places_[line - 1];
  const auto& texts = texts_.at(place.file);
  return {names_.at(place.file), place.line,
          place.line <= texts.size() ? texts[place.line - 1] : std::string()};
}

}  // namespace gristmill::runtime::test
