#pragma once

// Personal data in text: e-mail addresses, IPv4 addresses, North American telephone numbers. Each finder is
// one scan of hand-written rules in linear time (a backtracking regular expression on web text is a way to
// hang). The masks cannot be found again, so that masking twice changes nothing.

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "curate/sheet.hpp"

namespace gristmill::curate {

enum class PiiAction { keep, mask, drop };

struct PiiOptions {
  PiiAction action = PiiAction::mask;
  bool email = true;
  bool ip = true;
  bool phone = false;       ///< off by default: ten digits are more often an order number than a telephone
  bool public_only = true;  ///< leave private, loopback, documentation and reserved IPv4 addresses
};

struct Span {
  size_t begin, end;  ///< bytes
  friend bool operator==(const Span&, const Span&) = default;
};

inline constexpr std::string_view kEmailMask = "|||EMAIL_ADDRESS|||";
inline constexpr std::string_view kPhoneMask = "|||PHONE_NUMBER|||";
inline constexpr std::string_view kIpMask = "|||IP_ADDRESS|||";

/// local@domain with a dot in the domain, or local@[IPv4]. The local part is dot-separated atoms of RFC 5322.
std::vector<Span> find_emails(std::string_view text);
/// Dotted quads of 0 to 255 without leading zeros that are no part of a longer dotted number.
std::vector<Span> find_ips(std::string_view text, bool public_only);
/// Ten digits as 3-3-4, the first group perhaps in parentheses, perhaps +1 before them; not shortly after
/// "isbn" or "doi".
std::vector<Span> find_phones(std::string_view text);

/// `text` with `mask` in place of each span (ascending, apart from each other).
std::string masked(std::string_view text, const std::vector<Span>& spans, std::string_view mask);

/// Masks in `text` or counts, by the options; the sheet gets the counts, and the reason pii where the action
/// is drop. True if the text changed.
bool treat_pii(std::string& text, const PiiOptions& options, Sheet& sheet);

}  // namespace gristmill::curate
