#pragma once

// What the rules found on a page: one line a rule with the measured value and its limit. The first rule that
// failed is the reason for which the page is dropped.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.hpp"

namespace gristmill::curate {

struct Measure {
  const char* rule;  ///< its name is the reason in counts
  double value;
  char relation;  ///< '<' or '>': the page is dropped if "value relation limit"
  double limit;
  bool failed;
};

class Sheet {
 public:
  /// `all`: rules go on after one has failed, so that every value is measured.
  explicit Sheet(bool all) : all_(all) {}

  /// Notes a value; true if the rules should stop here.
  bool drop_above(const char* rule, double value, double limit) {
    return note({rule, value, '>', limit, value > limit});
  }
  bool drop_below(const char* rule, double value, double limit) {
    return note({rule, value, '<', limit, value < limit});
  }
  /// A fact in place of a number: dropped if true.
  bool drop_if(const char* rule, bool found) { return drop_above(rule, found ? 1 : 0, 0); }

  const std::vector<Measure>& measures() const { return measures_; }
  /// The first rule that failed; null = the page is kept.
  const Measure* failure() const;
  bool stopped() const { return !all_ && failed_; }
  bool all() const { return all_; }
  /// {"rule": value, …}
  Json values() const;

  std::map<std::string, uint64_t> lines_removed;  ///< reason → lines that a rule cut out of the text
  std::map<std::string, uint64_t> masked;         ///< kind of personal data → spans

 private:
  bool note(const Measure& measure);
  bool all_;
  bool failed_ = false;
  std::vector<Measure> measures_;
};

}  // namespace gristmill::curate
