#pragma once

// Shards in a scratch folder of their own, made and read back by the tests.

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/rng.hpp"
#include "base/str.hpp"
#include "shard/reader.hpp"
#include "shard/writer.hpp"

namespace gristmill::test {

/// A folder that goes away with its object.
class Scratch {
 public:
  Scratch() {
    static std::atomic<int> count{0};
    folder_ = std::filesystem::temp_directory_path() /
              str("gristmill-shard-", static_cast<int64_t>(::getpid()), "-", count.fetch_add(1));
    std::filesystem::create_directories(folder_);
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  /// Writes a file and returns its path.
  std::string file(const std::string& name, std::string_view content) const {
    write_file(path(name), content);
    return path(name);
  }

 private:
  std::filesystem::path folder_;
};

/// A file in memory, for the many small ones of the damage tests.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view content) : descriptor_(::memfd_create("shard-test", MFD_CLOEXEC)) {
    for (size_t at = 0; at < content.size();) {
      const ssize_t done = ::write(descriptor_, content.data() + at, content.size() - at);
      if (done <= 0) throw std::runtime_error("cannot write a file in memory");
      at += static_cast<size_t>(done);
    }
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return str("/proc/self/fd/", descriptor_); }

 private:
  int descriptor_;
};

/// Text of random lengths, some of it repetitive: records that compress like a corpus does.
inline std::vector<std::string> some_records(size_t count, size_t longest, uint64_t seed = 1) {
  Rng rng(seed, stream_of(RandomStream::test));
  std::vector<std::string> records;
  for (size_t i = 0; i < count; ++i) {
    std::string text = str("{\"id\":", i, ",\"text\":\"");
    const size_t length = rng.below(longest + 1);
    while (text.size() < length) text += str("word", rng.below(50), " ");
    records.push_back(text + "\"}");
  }
  return records;
}

inline shard::Header some_header() {
  shard::Header header;
  header.tool = "test";
  header.options["threshold"] = 0.8;
  return header;
}

inline void write_shard(const std::string& path, const std::vector<std::string>& records,
                        const shard::WriterOptions& options = {}, const Json& provenance = Json::array()) {
  shard::Writer writer(path, some_header(), options);
  for (const auto& record : records) writer.write(record);
  writer.close(provenance);
}

inline std::vector<std::string> read_all(shard::Reader& reader) {
  std::vector<std::string> records;
  std::string_view record;
  while (reader.next(record)) records.emplace_back(record);
  return records;
}

inline std::vector<std::string> read_records(std::vector<std::string> paths,
                                             const shard::ReaderOptions& options = {}) {
  shard::Reader reader(std::move(paths), options);
  return read_all(reader);
}

/// The message of the Error that `body` throws, or "" if it throws none.
template <class Body>
std::string error_of(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace gristmill::test
