#include "base/file.hpp"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/str.hpp"
#include "support/catch.hpp"
#include "support/scratch.hpp"
#include "support/streams.hpp"

using namespace gristmill;
namespace fs = std::filesystem;

namespace {

std::vector<std::string> lines_of(const std::string& path, uint64_t limit = UINT64_MAX) {
  LineReader reader(path, limit);
  std::vector<std::string> lines;
  for (std::string_view line; reader.next(line);) lines.emplace_back(line);
  return lines;
}

}  // namespace

TEST_CASE("an output appears under its name only when it is closed", "[base]") {
  const test::ScratchFolder folder;
  const auto path = folder.file("out");
  OutputFile file(path);
  file.write("half");
  CHECK_FALSE(fs::exists(path));
  file.close();
  CHECK(read_file(path) == "half");
  CHECK(folder.entries() == 1);
}

TEST_CASE("an output that is not closed leaves nothing behind and an older file as it was", "[base]") {
  const test::ScratchFolder folder;
  const auto path = folder.file("out");
  write_file(path, "old");
  {
    OutputFile file(path);
    file.write("new and unfinished");
  }
  CHECK(read_file(path) == "old");
  CHECK(folder.entries() == 1);
}

TEST_CASE("two outputs of one name do not write into each other", "[base]") {
  const test::ScratchFolder folder;
  OutputFile first(folder.file("out")), second(folder.file("out"));
  first.write("first");
  second.write("second");
  first.close();
  CHECK(read_file(folder.file("out")) == "first");
  second.close();
  CHECK(read_file(folder.file("out")) == "second");
  CHECK(folder.entries() == 1);
}

TEST_CASE("a full disk is an error that names the file", "[base]") {
  try {
    OutputFile file("/dev/full");
    file.write("x");
    file.close();
    FAIL("writing to a full device succeeded");
  } catch (const Error& error) {
    CHECK(error.kind() == Kind::io);
    CHECK(std::string(error.what()).find("/dev/full: No space left") != std::string::npos);
  }
  CHECK(fs::is_character_file("/dev/full"));
}

TEST_CASE("an output in a folder that is not there is an error at once", "[base]") {
  CHECK_THROWS_WITH(OutputFile("/nonexistent/folder/out"), test::contains("/nonexistent/folder/out"));
  CHECK_THROWS_WITH(OutputFile("/"), test::contains("directory"));
}

TEST_CASE("an output through a link changes the file behind the link", "[base]") {
  const test::ScratchFolder folder;
  write_file(folder.file("file"), "old");
  fs::create_symlink("file", folder.file("link"));
  write_file(folder.file("link"), "new");
  CHECK(fs::is_symlink(folder.file("link")));
  CHECK(read_file(folder.file("file")) == "new");
}

TEST_CASE("a named pipe is written as it is", "[base]") {
  const test::ScratchFolder folder;
  const auto path = folder.file("pipe");
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const pid_t reader = ::fork();
  if (reader == 0) ::_exit(read_file(path) == "through" ? 0 : 1);
  write_file(path, "through");
  int status = 0;
  ::waitpid(reader, &status, 0);
  CHECK(status == 0);
  CHECK(fs::is_fifo(path));
}

TEST_CASE("a signal removes the unfinished output and still ends the process", "[base]") {
  const test::ScratchFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    remove_temporaries_on_signals();
    OutputFile file(folder.file("out"));
    file.write("half");
    ::raise(SIGTERM);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGTERM);
  CHECK(folder.entries() == 0);
}

TEST_CASE("a file is read whole, and not beyond its limit", "[base]") {
  const test::ScratchFolder folder;
  const std::string content(200000, 'x');
  write_file(folder.file("big"), content);
  CHECK(read_file(folder.file("big")) == content);
  CHECK(read_file(folder.file("big"), 200000) == content);
  CHECK_THROWS_AS(read_file(folder.file("big"), 199999), Error);
  CHECK_THROWS_WITH(read_file(folder.file("absent")), test::contains("No such file"));
  CHECK_THROWS_AS(read_file(folder.path().string()), Error);
}

TEST_CASE("a file of the kernel is read whole, and one that is not there is empty", "[base]") {
  const auto status = kernel_file("/proc/self/status");
  CHECK(status.starts_with("Name:"));
  CHECK(status.find(str("\nPid:\t", ::getpid(), "\n")) != std::string::npos);
  const test::ScratchFolder folder;
  CHECK(kernel_file(folder.file("absent")).empty());
  CHECK(kernel_file(folder.path().string()).empty());
  const std::string content(200000, 'x');
  write_file(folder.file("large"), content);
  CHECK(kernel_file(folder.file("large")) == content);
}

TEST_CASE("lines come without their newline, and the last need not have one", "[base]") {
  const test::ScratchFolder folder;
  const auto path = folder.file("lines");
  const auto lines = [&](const std::string& text) {
    write_file(path, text);
    return lines_of(path);
  };
  using List = std::vector<std::string>;
  CHECK(lines("").empty());
  CHECK(lines("a") == List{"a"});
  CHECK(lines("a\n") == List{"a"});
  CHECK(lines("\n") == List{""});
  CHECK(lines("\n\na") == List{"", "", "a"});
  CHECK(lines(std::string("a\0b\r\n", 5)) == List{std::string("a\0b\r", 4)});
  for (const size_t size : {65535, 65536, 65537, 131072}) {
    CHECK(lines(std::string(size, 'x') + "\ny\n") == List{std::string(size, 'x'), "y"});
  }
}

TEST_CASE("a line over the limit is an error, one at the limit is not", "[base]") {
  const test::ScratchFolder folder;
  const auto path = folder.file("lines");
  write_file(path, "12345\n12345678\n");
  CHECK(lines_of(path, 8).size() == 2);
  CHECK_THROWS_WITH(lines_of(path, 7), test::contains("longer than 7"));
  write_file(path, "12345678");
  CHECK(lines_of(path, 8).size() == 1);
  CHECK_THROWS_AS(lines_of(path, 7), Error);
}

TEST_CASE("a dash is standard input", "[base]") {
  const test::FedInput fed("one\ntwo");
  CHECK(lines_of("-") == std::vector<std::string>{"one", "two"});
}

TEST_CASE("tests can pretend that a descriptor is a terminal", "[base]") {
  const test::ScopedVariable fake("GRISTMILL_FAKE_TTY", "stdin,stderr");
  CHECK(is_terminal(0));
  CHECK_FALSE(is_terminal(1));
  CHECK(is_terminal(2));
}
