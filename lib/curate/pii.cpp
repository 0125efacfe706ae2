#include "curate/pii.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "base/str.hpp"

namespace gristmill::curate {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alphanumeric(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
/// Bytes above 127 belong to words: a boundary stands between an accented letter and a space, not within a
/// word.
bool is_word_char(char c) { return is_alphanumeric(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80; }
bool is_atom(char c) {
  return is_alphanumeric(c) || std::string_view("!#$%&'*+/=?^_`{|}~-").find(c) != std::string_view::npos;
}

char at_or_nul(std::string_view text, size_t at) { return at < text.size() ? text[at] : '\0'; }

/// Start of the local part that ends at `at` ('@'), not before `floor`: the longest run of atoms joined by
/// single dots that begins at a word boundary.
std::optional<size_t> local_part(std::string_view text, size_t at, size_t floor) {
  if (at == floor || !is_atom(text[at - 1])) return std::nullopt;
  size_t start = at;
  while (start > floor) {
    const char c = text[start - 1];
    const bool dot = c == '.' && text[start] != '.';
    if (!is_atom(c) && !dot) break;
    --start;
  }
  for (; start < at; ++start) {
    const bool before = start > 0 && is_word_char(text[start - 1]);
    if (text[start] != '.' && is_word_char(text[start]) != before) return start;
  }
  return std::nullopt;
}

/// End of at least two domain labels from `begin`, the longest such; nothing if there are none.
std::optional<size_t> domain_end(std::string_view text, size_t begin) {
  size_t labels = 0, end = begin, at = begin;
  while (at < text.size() && is_alphanumeric(text[at])) {
    size_t stop = at;
    while (stop < text.size() && (is_alphanumeric(text[stop]) || text[stop] == '-')) ++stop;
    size_t trimmed = stop;
    while (text[trimmed - 1] == '-') --trimmed;
    ++labels;
    end = trimmed;
    if (trimmed != stop || at_or_nul(text, stop) != '.') break;
    at = stop + 1;
  }
  return labels >= 2 ? std::optional(end) : std::nullopt;
}

struct Quad {
  std::array<int, 4> bytes{};
  size_t end = 0;
};

/// A dotted quad at `at`; numbers above 255 or with a leading zero are none.
std::optional<Quad> parse_quad(std::string_view text, size_t at) {
  Quad quad;
  for (size_t i = 0; i < 4; ++i) {
    if (i > 0 && at_or_nul(text, at++) != '.') return std::nullopt;
    const size_t start = at;
    int value = 0;
    while (is_digit(at_or_nul(text, at)) && at - start < 4) value = value * 10 + (text[at++] - '0');
    if (at == start || value > 255 || (text[start] == '0' && at - start > 1)) return std::nullopt;
    quad.bytes[i] = value;
  }
  quad.end = at;
  return quad;
}

/// Addresses that name no host on the internet (IANA's special-purpose registry).
bool is_public(const Quad& quad) {
  struct Net {
    uint32_t base;
    int bits;
  };
  static constexpr std::array<Net, 15> kSpecial = {{{0x00000000, 8},
                                                    {0x0A000000, 8},
                                                    {0x64400000, 10},
                                                    {0x7F000000, 8},
                                                    {0xA9FE0000, 16},
                                                    {0xAC100000, 12},
                                                    {0xC0000000, 24},
                                                    {0xC0000200, 24},
                                                    {0xC0586300, 24},
                                                    {0xC0A80000, 16},
                                                    {0xC6120000, 15},
                                                    {0xC6336400, 24},
                                                    {0xCB007100, 24},
                                                    {0xE0000000, 4},
                                                    {0xF0000000, 4}}};
  uint32_t address = 0;
  for (const int byte : quad.bytes) address = (address << 8) | static_cast<uint32_t>(byte);
  return std::none_of(kSpecial.begin(), kSpecial.end(), [&](const Net& net) {
    return (address >> (32 - net.bits)) == (net.base >> (32 - net.bits));
  });
}

/// Three digits at `at`, then none; or what count says.
bool digits_at(std::string_view text, size_t at, size_t count) {
  if (at + count > text.size()) return false;
  return std::all_of(text.begin() + static_cast<std::ptrdiff_t>(at),
                     text.begin() + static_cast<std::ptrdiff_t>(at + count), is_digit);
}

size_t skip_separators(std::string_view text, size_t at) {
  for (int i = 0;
       i < 2 && (at_or_nul(text, at) == ' ' || at_or_nul(text, at) == '-' || at_or_nul(text, at) == '.'); ++i)
    ++at;
  return at;
}

/// End of 3-3-4 digits at `at`, which is a digit or '('.
std::optional<size_t> phone_end(std::string_view text, size_t at) {
  const bool bracket = text[at] == '(';
  if (bracket) ++at;
  if (!digits_at(text, at, 3)) return std::nullopt;
  at += 3;
  if (bracket && at_or_nul(text, at++) != ')') return std::nullopt;
  at = skip_separators(text, at);
  if (!digits_at(text, at, 3)) return std::nullopt;
  at = skip_separators(text, at + 3);
  if (!digits_at(text, at, 4)) return std::nullopt;
  at += 4;
  const char next = at_or_nul(text, at);
  const bool goes_on = (next == '-' || next == '.') && is_digit(at_or_nul(text, at + 1));
  return is_word_char(next) || goes_on ? std::nullopt : std::optional(at);
}

/// A number that a book, article or ticket bears, by the words before it.
bool is_catalogued(std::string_view text, size_t at) {
  const size_t begin = at > 100 ? at - 100 : 0;
  const std::string before = to_lower_ascii(text.substr(begin, at - begin));
  return before.find("isbn") != std::string::npos || before.find("doi") != std::string::npos ||
         before.ends_with('#');
}

}  // namespace

std::vector<Span> find_emails(std::string_view text) {
  std::vector<Span> spans;
  size_t floor = 0;
  for (size_t at = text.find('@'); at != std::string_view::npos; at = text.find('@', at + 1)) {
    const auto start = local_part(text, at, floor);
    floor = at + 1;
    if (!start) continue;
    std::optional<size_t> end = domain_end(text, at + 1);
    if (!end && at_or_nul(text, at + 1) == '[') {
      const auto quad = parse_quad(text, at + 2);
      if (quad && at_or_nul(text, quad->end) == ']') end = quad->end + 1;
    }
    if (!end) continue;
    spans.push_back({*start, *end});
    floor = *end;
  }
  return spans;
}

std::vector<Span> find_ips(std::string_view text, bool public_only) {
  std::vector<Span> spans;
  for (size_t at = 0; at < text.size(); ++at) {
    if (!is_digit(text[at])) continue;
    const char before = at > 0 ? text[at - 1] : ' ';
    const bool longer = is_word_char(before) || (before == '.' && at > 1 && is_digit(text[at - 2]));
    const auto quad = longer ? std::nullopt : parse_quad(text, at);
    if (quad) {
      const char next = at_or_nul(text, quad->end);
      const bool goes_on = is_word_char(next) || (next == '.' && is_digit(at_or_nul(text, quad->end + 1)));
      if (!goes_on && (!public_only || is_public(*quad))) spans.push_back({at, quad->end});
      at = quad->end - 1;
    }
    while (at + 1 < text.size() && is_digit(text[at + 1])) ++at;
  }
  return spans;
}

std::vector<Span> find_phones(std::string_view text) {
  std::vector<Span> spans;
  for (size_t at = 0; at < text.size(); ++at) {
    if (!is_digit(text[at]) && text[at] != '(') continue;
    const char before = at > 0 ? text[at - 1] : ' ';
    const bool longer =
        is_word_char(before) || ((before == '.' || before == '-') && at > 1 && is_digit(text[at - 2]));
    size_t start = at;
    // "+1 " or "1-" in front belongs to the number.
    if (!longer && text[at] == '1' && !is_digit(at_or_nul(text, at + 1))) {
      const size_t number = skip_separators(text, at + 1);
      if (number < text.size() && number > at + 1 && (is_digit(text[number]) || text[number] == '(') &&
          phone_end(text, number)) {
        if (before == '+') --start;
        at = number;
      }
    }
    const auto end = longer ? std::nullopt : phone_end(text, at);
    if (end && !is_catalogued(text, start)) spans.push_back({start, *end});
    if (end) {
      at = *end - 1;
    } else if (is_digit(text[at])) {
      while (at + 1 < text.size() && is_digit(text[at + 1])) ++at;
    }
  }
  return spans;
}

std::string masked(std::string_view text, const std::vector<Span>& spans, std::string_view mask) {
  std::string out;
  out.reserve(text.size());
  size_t at = 0;
  for (const auto& span : spans) {
    out += text.substr(at, span.begin - at);
    out += mask;
    at = span.end;
  }
  out += text.substr(at);
  return out;
}

bool treat_pii(std::string& text, const PiiOptions& options, Sheet& sheet) {
  size_t total = 0;
  bool changed = false;
  const auto treat = [&](bool wanted, const char* kind, std::string_view mask, const auto& find) {
    const std::vector<Span> spans = wanted ? find(text) : std::vector<Span>();
    if (spans.empty()) return;
    total += spans.size();
    sheet.masked[kind] += spans.size();
    if (options.action != PiiAction::mask) return;
    text = masked(text, spans, mask);
    changed = true;
  };
  treat(options.email, "email", kEmailMask, find_emails);
  treat(options.ip, "ip", kIpMask, [&](std::string_view t) { return find_ips(t, options.public_only); });
  treat(options.phone, "phone", kPhoneMask, find_phones);
  if (options.action == PiiAction::drop) sheet.drop_above("pii", static_cast<double>(total), 0);
  return changed;
}

}  // namespace gristmill::curate
