#include "base/progress.hpp"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <mutex>

#include "base/file.hpp"
#include "base/str.hpp"

namespace gristmill::progress {

namespace {

using Clock = std::chrono::steady_clock;

Mode g_mode = Mode::automatic;
std::mutex g_mutex;
bool g_shown = false;
std::atomic<int64_t> g_next_ms{0};

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now().time_since_epoch()).count();
}

bool enabled() {
  static const bool terminal = is_terminal(STDERR_FILENO);
  return g_mode == Mode::always || (g_mode == Mode::automatic && terminal);
}

void write_line(const std::string& text) {
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace

void set_mode(Mode mode) { g_mode = mode; }

bool due() { return enabled() && now_ms() >= g_next_ms.load(std::memory_order_relaxed); }

void show(std::string_view text) {
  if (!due()) return;
  const std::scoped_lock lock(g_mutex);
  g_next_ms = now_ms() + 100;
  g_shown = true;
  write_line(str("\r\x1b[2K", text));
}

void clear() {
  const std::scoped_lock lock(g_mutex);
  if (g_shown) write_line("\r\x1b[2K");
  g_shown = false;
}

Counter::Counter(std::string verb, std::string unit, uint64_t total)
    : verb_(std::move(verb)),
      unit_(std::move(unit)),
      total_(total),
      start_(static_cast<double>(now_ms()) / 1000) {}

Counter::~Counter() { clear(); }

void Counter::add(uint64_t amount) {
  done_ += amount;
  if (!due()) return;
  const double seconds = static_cast<double>(now_ms()) / 1000 - start_;
  const double rate = seconds > 0 ? static_cast<double>(done_) / seconds : 0;
  std::string text = str(verb_, " ", done_);
  if (total_ > 0) text += str(" of ", total_);
  text += str(" ", unit_, ", ", format_fixed(rate, 0), "/s");
  if (total_ > done_ && rate > 0) {
    text += str(", ", format_fixed(static_cast<double>(total_ - done_) / rate, 0), " s left");
  }
  show(text);
}

}  // namespace gristmill::progress
