#pragma once

// One line on standard error that says how far a long piece of work is: ten times a second at most, only
// on a terminal (or with --progress always), cleared before any message.

#include <cstdint>
#include <string>
#include <string_view>

namespace gristmill::progress {

enum class Mode { automatic, always, never };

void set_mode(Mode mode);

/// Shows `text` as the progress line if it is time to do so; cheap to call often.
void show(std::string_view text);
/// True when a call of show() now would draw: lets callers skip building the text.
bool due();
/// Removes the line.
void clear();

/// A counter of records or bytes with rate and, where the total is known, percentage and time left.
class Counter {
 public:
  Counter(std::string verb, std::string unit, uint64_t total = 0);
  ~Counter();
  Counter(const Counter&) = delete;
  Counter& operator=(const Counter&) = delete;
  void add(uint64_t amount = 1);

 private:
  std::string verb_, unit_;
  uint64_t total_, done_ = 0;
  double start_;
};

}  // namespace gristmill::progress
