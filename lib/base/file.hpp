#pragma once

// Files, standard input and output, and outputs that appear whole or not at all.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace gristmill {

/// True if the descriptor is a terminal. GRISTMILL_FAKE_TTY=stdin,stdout,stderr lets tests pretend.
bool is_terminal(int descriptor);

/// A readable byte stream: a file, or standard input for "-".
class InputFile {
 public:
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(InputFile&&) noexcept;
  InputFile& operator=(InputFile&&) = delete;

  /// Reads up to `size` bytes; 0 only at the end. Throws Kind::io.
  size_t read(void* data, size_t size);
  /// The name for messages: the path, or "standard input".
  const std::string& name() const { return name_; }
  int descriptor() const { return descriptor_; }
  /// True for a pipe, named or not, and for a socket: what another process writes.
  bool is_pipe() const;

 private:
  int descriptor_;
  std::string name_;
};

/// A writable byte stream. A path is written under a temporary name beside it, and takes its name in
/// close(); without close() nothing is left behind. "-" is standard output. A path that is no regular
/// file (/dev/full, a named pipe) is opened and written as it is; a link is written through.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* data, size_t size);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Flushes to the disk and renames; every error is reported here at the latest.
  void close();
  const std::string& name() const { return name_; }

 private:
  void discard() noexcept;
  int descriptor_ = -1;
  std::string name_, path_, temporary_;
};

/// From now on SIGHUP, SIGINT and SIGTERM first remove the temporary files of unfinished outputs. A signal
/// that is ignored stays ignored; a trainer puts its own handler in place afterwards.
void remove_temporaries_on_signals();

/// The whole of a file. Larger than `limit` bytes is an error.
std::string read_file(const std::string& path, uint64_t limit = UINT64_MAX);
/// A file of the kernel's, in /proc or /sys; empty if it cannot be read, as that of a process that has ended.
std::string kernel_file(const std::string& path);
/// Writes a file whole or not at all.
void write_file(const std::string& path, std::string_view content);
/// Renames with fsync of the folder, so that the new name survives a power cut.
void rename_durably(const std::string& from, const std::string& to);

/// Lines of a text file or "-", without their newline; a line over `limit` bytes is an error.
class LineReader {
 public:
  explicit LineReader(const std::string& path, uint64_t limit = UINT64_MAX);
  ~LineReader();
  /// The next line, valid until the next call; false at the end.
  bool next(std::string_view& line);
  const std::string& name() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gristmill
