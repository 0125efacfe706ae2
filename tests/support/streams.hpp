#pragma once

// Standard streams of the test process, replaced for the length of a test.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "support/catch.hpp"
#include "support/scratch.hpp"

namespace gristmill::test {

/// Sends a descriptor (1 or 2) into a file; text() restores it and returns what was written.
class CapturedStream {
 public:
  explicit CapturedStream(int descriptor) : descriptor_(descriptor) {
    flush();
    saved_ = ::dup(descriptor_);
    const int file = ::open(folder_.file("captured").c_str(), O_RDWR | O_CREAT, 0600);
    REQUIRE(::dup2(file, descriptor_) == descriptor_);
    ::close(file);
  }
  ~CapturedStream() { restore(); }
  CapturedStream(const CapturedStream&) = delete;
  CapturedStream& operator=(const CapturedStream&) = delete;

  std::string text() {
    restore();
    std::ifstream in(folder_.file("captured"), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }

 private:
  static void flush() {
    std::cout.flush();
    std::fflush(stdout);
    std::fflush(stderr);
  }
  void restore() {
    if (saved_ < 0) return;
    flush();
    ::dup2(saved_, descriptor_);
    ::close(saved_);
    saved_ = -1;
  }
  ScratchFolder folder_;
  int descriptor_, saved_ = -1;
};

/// Feeds a text to standard input.
class FedInput {
 public:
  explicit FedInput(const std::string& text) : saved_(::dup(STDIN_FILENO)) {
    std::ofstream(folder_.file("fed"), std::ios::binary) << text;
    const int file = ::open(folder_.file("fed").c_str(), O_RDONLY);
    REQUIRE(::dup2(file, STDIN_FILENO) == STDIN_FILENO);
    ::close(file);
  }
  ~FedInput() {
    ::dup2(saved_, STDIN_FILENO);
    ::close(saved_);
  }
  FedInput(const FedInput&) = delete;
  FedInput& operator=(const FedInput&) = delete;

 private:
  ScratchFolder folder_;
  int saved_;
};

/// An environment variable, set for the length of a scope.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~ScopedVariable() { ::unsetenv(name_); }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  const char* name_;
};

}  // namespace gristmill::test
