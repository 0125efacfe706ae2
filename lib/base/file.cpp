#include "base/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "base/error.hpp"

namespace gristmill {

namespace {

constexpr size_t kBlock = 1 << 16;

std::string folder_of(const std::string& path) {
  const auto parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

bool is_regular_or_new(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) != 0 || S_ISREG(status.st_mode);
}

/// A link to a file is written through: the file changes, the link stays.
std::string behind_links(const std::string& path) {
  std::error_code none;
  if (!std::filesystem::is_symlink(path, none)) return path;
  const auto target = std::filesystem::weakly_canonical(path, none);
  return none ? path : target.string();
}

// Temporary files that a signal handler must be able to remove: fixed memory, because a handler may not
// allocate and must not meet a string that another thread is freeing. Files beyond these are merely not
// removed.
struct Tracked {
  std::atomic<bool> used{false}, armed{false};
  std::array<char, 4096> path{};
};
std::array<Tracked, 32> g_tracked;

void track(const std::string& path) {
  for (auto& entry : g_tracked) {
    if (path.size() >= entry.path.size() || entry.used.exchange(true)) continue;
    std::memcpy(entry.path.data(), path.c_str(), path.size() + 1);
    entry.armed = true;
    return;
  }
}

void untrack(const std::string& path) {
  for (auto& entry : g_tracked) {
    if (!entry.armed || path != entry.path.data()) continue;
    entry.armed = false;
    entry.used = false;
  }
}

extern "C" void remove_temporaries_and_die(int signal) {
  for (auto& entry : g_tracked) {
    if (entry.armed) ::unlink(entry.path.data());
  }
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

/// Makes a new file beside `path`, and says under which name. No other process or thread can have the same.
int open_temporary(const std::string& path, std::string& name) {
  static std::atomic<uint64_t> count{0};
  for (;;) {
    name = str(path, ".tmp.", static_cast<int64_t>(::getpid()), ".", count++);
    const int descriptor = ::open(name.c_str(), O_WRONLY | O_CLOEXEC | O_CREAT | O_EXCL, 0666);
    if (descriptor >= 0 || errno != EEXIST) return descriptor;
  }
}

}  // namespace

void remove_temporaries_on_signals() {
  for (const int signal : {SIGHUP, SIGINT, SIGTERM}) {
    if (::signal(signal, remove_temporaries_and_die) == SIG_IGN) ::signal(signal, SIG_IGN);
  }
}

bool is_terminal(int descriptor) {
  static constexpr const char* kNames[] = {"stdin", "stdout", "stderr"};
  if (const char* fake = std::getenv("GRISTMILL_FAKE_TTY");
      fake != nullptr && descriptor >= 0 && descriptor < 3) {
    return std::strstr(fake, kNames[descriptor]) != nullptr;
  }
  return ::isatty(descriptor) == 1;
}

InputFile::InputFile(const std::string& path) : name_(path == "-" ? "standard input" : path) {
  descriptor_ = path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) fail_errno("cannot open", name_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : descriptor_(other.descriptor_), name_(std::move(other.name_)) {
  other.descriptor_ = -1;
}

InputFile::~InputFile() {
  if (descriptor_ > STDERR_FILENO) ::close(descriptor_);
}

bool InputFile::is_pipe() const {
  struct stat status {};
  return ::fstat(descriptor_, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode));
}

size_t InputFile::read(void* data, size_t size) {
  for (;;) {
    const ssize_t got = ::read(descriptor_, data, size);
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR) fail_errno("cannot read", name_);
  }
}

OutputFile::OutputFile(const std::string& path) : name_(path == "-" ? "standard output" : path), path_(path) {
  if (path == "-") {
    descriptor_ = STDOUT_FILENO;
    return;
  }
  if (is_regular_or_new(path)) {
    path_ = behind_links(path);
    descriptor_ = open_temporary(path_, temporary_);
  } else {
    descriptor_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  }
  if (descriptor_ < 0) {
    temporary_.clear();
    fail_errno("cannot write", name_);
  }
  if (!temporary_.empty()) track(temporary_);
}

OutputFile::~OutputFile() { discard(); }

void OutputFile::discard() noexcept {
  if (descriptor_ > STDERR_FILENO) ::close(descriptor_);
  descriptor_ = -1;
  if (temporary_.empty()) return;
  ::unlink(temporary_.c_str());
  untrack(temporary_);
  temporary_.clear();
}

void OutputFile::write(const void* data, size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t done = ::write(descriptor_, at, size);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail_errno("cannot write", name_);
    at += done;
    size -= static_cast<size_t>(done);
  }
}

void OutputFile::close() {
  if (descriptor_ < 0) return;
  if (!temporary_.empty() && ::fsync(descriptor_) != 0) fail_errno("cannot write", name_);
  const int descriptor = descriptor_;
  descriptor_ = -1;
  if (::close(descriptor) != 0) fail_errno("cannot close", name_);
  if (temporary_.empty()) return;
  rename_durably(temporary_, path_);
  untrack(temporary_);
  temporary_.clear();
}

std::string read_file(const std::string& path, uint64_t limit) {
  InputFile file(path);
  std::string content;
  std::string block(kBlock, '\0');
  while (const size_t got = file.read(block.data(), block.size())) {
    if (content.size() + got > limit) {
      fail(Kind::input, file.name(), ": larger than the ", limit, " bytes that such a file may have");
    }
    content.append(block, 0, got);
  }
  return content;
}

std::string kernel_file(const std::string& path) {
  try {
    return read_file(path);
  } catch (const Error&) {
    return "";
  }
}

void write_file(const std::string& path, std::string_view content) {
  OutputFile file(path);
  file.write(content);
  file.close();
}

void rename_durably(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) fail_errno("cannot rename to", to);
  const int folder = ::open(folder_of(to).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) fail_errno("cannot open the folder of", to);
  ::fsync(folder);  // some file systems refuse to sync folders; the rename itself has succeeded
  ::close(folder);
}

struct LineReader::State {
  InputFile file;
  uint64_t limit;
  std::string buffer;
  size_t start = 0;
  bool ended = false;
};

LineReader::LineReader(const std::string& path, uint64_t limit)
    : state_(std::make_unique<State>(State{InputFile(path), limit, {}, 0, false})) {}
LineReader::~LineReader() = default;

const std::string& LineReader::name() const { return state_->file.name(); }

bool LineReader::next(std::string_view& line) {
  auto& s = *state_;
  size_t scanned = s.start;
  for (;;) {
    const size_t end = s.buffer.find('\n', scanned);
    if (end != std::string::npos && end - s.start <= s.limit) {
      line = std::string_view(s.buffer).substr(s.start, end - s.start);
      s.start = end + 1;
      return true;
    }
    if (s.buffer.size() - s.start > s.limit) {
      fail(Kind::input, name(), ": a line is longer than ", s.limit, " bytes");
    }
    if (s.ended) break;
    s.buffer.erase(0, s.start);
    s.start = 0;
    scanned = s.buffer.size();
    s.buffer.resize(scanned + kBlock);
    const size_t got = s.file.read(s.buffer.data() + scanned, kBlock);
    s.buffer.resize(scanned + got);
    s.ended = got == 0;
  }
  line = std::string_view(s.buffer).substr(s.start);
  s.start = s.buffer.size();
  return !line.empty();
}

}  // namespace gristmill
