#pragma once

// From which line of which file the compiler made an instruction: from a second text of a module that it
// wrote with -lineinfo, whose instructions are those of the first one. What comes
// from the toolkit's own headers is told by the line that calls it.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::runtime::test {

struct SourceLine {
  std::string file;  ///< without its folder
  uint32_t line = 0;
  std::string text;  ///< of the line, without blanks around it; empty if it is no file of ours
};

class SourceLines {
 public:
  /// `lined`: the text with the lines of the sources, which lie in `folder`. Error{input} if its instructions
  /// are not those of `ptx`.
  SourceLines(std::string_view ptx, std::string_view lined, const std::string& folder);

  /// Of a line of `ptx`; empty if the compiler did not tell.
  SourceLine at(uint32_t line) const;

 private:
  struct Place {
    uint32_t file = 0, line = 0;
  };
  Place place_of(const std::vector<std::string_view>& words, const Place& last) const;

  std::vector<Place> places_;  ///< by line of `ptx` less one
  std::map<uint32_t, std::string> names_;
  std::map<uint32_t, std::vector<std::string>> texts_;
};

}  // namespace gristmill::runtime::test
