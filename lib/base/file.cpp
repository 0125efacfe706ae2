#include "base/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

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

}  // namespace

bool is_terminal(int descriptor) {
  static constexpr const char* kNames[] = {"stdin", "stdout", "stderr"};
  if (const char* fake = std::getenv("GRISTMILL_FAKE_TTY"); fake != nullptr && descriptor >= 0 && descriptor < 3) {
    return std::strstr(fake, kNames[descriptor]) != nullptr;
  }
  return ::isatty(descriptor) == 1;
}

InputFile::InputFile(const std::string& path) : name_(path == "-" ? "standard input" : path) {
  descriptor_ = path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) fail_errno("cannot open", name_);
}

InputFile::InputFile(InputFile&& other) noexcept : descriptor_(other.descriptor_), name_(std::move(other.name_)) {
  other.descriptor_ = -1;
}

InputFile::~InputFile() {
  if (descriptor_ > STDERR_FILENO) ::close(descriptor_);
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
  const bool rename_later = is_regular_or_new(path);
  if (rename_later) temporary_ = str(path, ".tmp.", static_cast<int64_t>(::getpid()));
  const int flags = O_WRONLY | O_CLOEXEC | (rename_later ? O_CREAT | O_TRUNC : 0);
  descriptor_ = ::open(rename_later ? temporary_.c_str() : path.c_str(), flags, 0666);
  if (descriptor_ < 0) fail_errno("cannot write", name_);
}

OutputFile::~OutputFile() { discard(); }

void OutputFile::discard() noexcept {
  if (descriptor_ > STDERR_FILENO) ::close(descriptor_);
  descriptor_ = -1;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
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
    if (end != std::string::npos) {
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
