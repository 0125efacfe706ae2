#pragma once

// The parts of an http(s) URL that rules look at, and the registered domain (public suffix plus one label) by
// the Public Suffix List that libpsl has built in, so that the answer does not depend on files of the
// machine.

#include <optional>
#include <string>
#include <string_view>

namespace gristmill::text {

struct Url {
  std::string scheme;    ///< lower case, "http" where none was given
  std::string host;      ///< lower case, without user, port and final dot; an IPv6 address keeps its brackets
  std::string port;      ///< digits, or empty
  std::string path;      ///< from the first '/' to '?' or '#', as written; may be empty
  std::string query;     ///< without '?'
  std::string fragment;  ///< without '#'
};

/// Reads an absolute URL, or "host/path" without a scheme. Nothing where there is no host.
std::optional<Url> parse_url(std::string_view text);

/// "example.co.uk" for "www.example.co.uk"; empty for an address or a bare public suffix.
std::string registered_domain(std::string_view host);

/// True for a dotted IPv4 address or a bracketed IPv6 one.
bool is_address(std::string_view host);

}  // namespace gristmill::text
