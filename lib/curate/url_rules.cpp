#include "curate/url_rules.hpp"

#include <algorithm>
#include <array>

#include "base/file.hpp"
#include "base/str.hpp"
#include "text/url.hpp"

namespace gristmill::curate {

namespace {

// Whole words of the address; one is enough.
constexpr std::array<std::string_view, 22> kHardWords = {
    "porn",    "porno",   "pornstar", "xxx",      "xnxx",     "hentai",   "milf",    "milfs",
    "blowjob", "bukkake", "camgirl",  "camgirls", "cumshot",  "gangbang", "handjob", "hardcoresex",
    "incest",  "sexcam",  "sexcams",  "upskirt",  "creampie", "fetishsex"};
// Whole words; each may stand in a decent address, two together seldom do.
constexpr std::array<std::string_view, 20> kSoftWords = {
    "adult", "sex",  "sexy",   "nude",    "nudes",  "naked", "erotic",  "escort", "escorts", "fetish",
    "cam",   "cams", "webcam", "webcams", "casino", "poker", "betting", "slots",  "viagra",  "cialis"};
// Fragments of the address without punctuation; chosen so that they do not occur within ordinary words.
constexpr std::array<std::string_view, 12> kFragments = {
    "pornhub", "freeporn", "porntube", "pornvideo",    "sexcam",       "sexvideo",
    "camsex",  "xxxvideo", "hotmilf",  "onlinecasino", "casinoonline", "livesex"};

template <size_t N>
bool contains(const std::array<std::string_view, N>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

void read_list(const std::string& path, std::unordered_set<std::string>& list) {
  LineReader reader(path, 1 << 16);
  for (std::string_view line; reader.next(line);) {
    line = strip(line);
    if (!line.empty() && line.front() != '#') list.emplace(line);
  }
}

}  // namespace

UrlRules::UrlRules(const UrlOptions& options) : options_(options) {
  std::unordered_set<std::string> domains;
  for (const auto& file : options.domain_files) read_list(file, domains);
  domains.insert(options.domains.begin(), options.domains.end());
  for (const auto& domain : domains) domains_.insert(to_lower_ascii(domain));
  for (const auto& file : options.url_files) read_list(file, urls_);
}

void UrlRules::judge(std::string_view url, Sheet& sheet) const {
  if (url.empty()) return;
  const auto parsed = text::parse_url(url);
  const bool listed = parsed && domains_.contains(text::registered_domain(parsed->host));
  if (sheet.drop_if("domain", listed)) return;
  if (sheet.drop_if("subdomain", parsed && domains_.contains(parsed->host))) return;
  if (sheet.drop_if("url", urls_.contains(std::string(url)))) return;
  if (options_.words) judge_words(url, sheet);
}

bool UrlRules::judge_words(std::string_view url, Sheet& sheet) const {
  const std::string lower = to_lower_ascii(url);
  std::string squeezed;
  std::vector<std::string_view> soft_found;
  bool hard = false;
  for (size_t at = 0; at < lower.size();) {
    size_t end = at;
    while (end < lower.size() && is_alphanumeric(lower[end])) ++end;
    const auto word = std::string_view(lower).substr(at, end - at);
    squeezed += word;
    hard |= contains(kHardWords, word);
    const bool fresh = std::find(soft_found.begin(), soft_found.end(), word) == soft_found.end();
    if (fresh && contains(kSoftWords, word)) soft_found.push_back(word);
    at = end + 1;
  }
  if (sheet.drop_if("hard_blacklisted", hard)) return true;
  // "drop at two" is "drop above one" in the sheet's terms.
  if (sheet.drop_above("soft_blacklisted", static_cast<double>(soft_found.size()),
                       static_cast<double>(options_.soft_word_threshold - 1))) {
    return true;
  }
  const bool fragment = std::any_of(kFragments.begin(), kFragments.end(), [&](std::string_view needle) {
    return squeezed.find(needle) != std::string::npos;
  });
  return sheet.drop_if("blacklisted_subword", fragment);
}

}  // namespace gristmill::curate
