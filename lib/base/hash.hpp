#pragma once

// xxHash behind our own names: the hash of every checksum, index and fingerprint in the toolchain.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace gristmill {

/// XXH64 of a byte string.
uint64_t xxh64(std::string_view data, uint64_t seed = 0);
/// XXH3, 64 bits: the fast choice for hash tables and fingerprints.
uint64_t xxh3(std::string_view data, uint64_t seed = 0);
/// XXH3, 128 bits, as 32 hexadecimal digits: names a file by its content.
std::string xxh128_hex(std::string_view data);

/// XXH64 of a stream.
class Xxh64Stream {
 public:
  Xxh64Stream();
  ~Xxh64Stream();
  Xxh64Stream(const Xxh64Stream&) = delete;
  Xxh64Stream& operator=(const Xxh64Stream&) = delete;
  void update(const void* data, size_t size);
  uint64_t digest() const;

 private:
  void* state_;
};

}  // namespace gristmill
