#pragma once

// Rules on a page's address, in FineWeb's order: blocked registered domain, blocked host, blocked URL, one
// hard word, two soft words, a fragment. Domain and URL lists come from the user; the word lists here are our
// own and short: they catch the plain cases of adult and gambling sites, and a user's list adds to them.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "curate/sheet.hpp"

namespace gristmill::curate {

struct UrlOptions {
  std::vector<std::string> domain_files;  ///< one registered domain or host a line
  std::vector<std::string> url_files;     ///< one URL a line
  std::vector<std::string> domains;       ///< more domains, given directly
  bool words = true;                      ///< use the built-in word lists
  int64_t soft_word_threshold = 2;
};

class UrlRules {
 public:
  /// Reads the lists. Lines that start with '#' and empty lines are skipped.
  explicit UrlRules(const UrlOptions& options);

  /// Reasons domain, subdomain, url, hard_blacklisted, soft_blacklisted, blacklisted_subword. An address that
  /// cannot be read is judged by its words alone; an empty one passes.
  void judge(std::string_view url, Sheet& sheet) const;

 private:
  bool judge_words(std::string_view url, Sheet& sheet) const;
  UrlOptions options_;
  std::unordered_set<std::string> domains_, urls_;  // looked up only, never listed
};

}  // namespace gristmill::curate
