#include "text/url.hpp"

#include <libpsl.h>

#include <algorithm>

#include "base/str.hpp"
#include "text/lines.hpp"

namespace gristmill::text {

namespace {

bool is_scheme(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return !text.empty() && letter(text[0]) && std::all_of(text.begin(), text.end(), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
  });
}

bool all_digits(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// Splits [user@]host[:port]; false where the rest is no port.
bool parse_authority(std::string_view authority, Url& url) {
  const size_t user = authority.rfind('@');
  if (user != std::string_view::npos) authority.remove_prefix(user + 1);
  const size_t bracket = authority.rfind(']');
  const size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    url.port = authority.substr(colon + 1);
    authority = authority.substr(0, colon);
    if (!all_digits(url.port)) return false;
  }
  if (authority.ends_with('.')) authority.remove_suffix(1);
  url.host = to_lower_ascii(authority);
  return !url.host.empty() && url.host.find_first_of(" \t\r\n\"<>\\^`{|}") == std::string::npos;
}

}  // namespace

std::optional<Url> parse_url(std::string_view text) {
  text = strip_space(text);
  // wget writes the target between angle brackets.
  if (text.size() > 2 && text.front() == '<' && text.back() == '>') text = text.substr(1, text.size() - 2);
  Url url;
  url.scheme = "http";
  const size_t mark = text.find("://");
  if (mark != std::string_view::npos && is_scheme(text.substr(0, mark))) {
    url.scheme = to_lower_ascii(text.substr(0, mark));
    text.remove_prefix(mark + 3);
  } else if (text.starts_with("//")) {
    text.remove_prefix(2);
  }
  const size_t end = text.find_first_of("/?#");
  if (!parse_authority(text.substr(0, end), url)) return std::nullopt;
  if (end == std::string_view::npos) return url;
  text.remove_prefix(end);
  if (const size_t hash = text.find('#'); hash != std::string_view::npos) {
    url.fragment = text.substr(hash + 1);
    text = text.substr(0, hash);
  }
  if (const size_t question = text.find('?'); question != std::string_view::npos) {
    url.query = text.substr(question + 1);
    text = text.substr(0, question);
  }
  url.path = text;
  return url;
}

bool is_address(std::string_view host) {
  if (host.starts_with('[')) return host.ends_with(']');
  const auto parts = split(host, '.');
  return parts.size() == 4 && std::all_of(parts.begin(), parts.end(), [](std::string_view part) {
           return !part.empty() && part.size() <= 3 && all_digits(part);
         });
}

std::string registered_domain(std::string_view host) {
  if (host.empty() || host.size() > 255 || is_address(host)) return {};
  const std::string name(host);  // what libpsl returns points into it
  const char* domain = ::psl_registrable_domain(::psl_builtin(), name.c_str());
  return domain == nullptr ? std::string() : std::string(domain);
}

}  // namespace gristmill::text
