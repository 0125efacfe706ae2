#include "base/hash.hpp"

#include <xxhash.h>

#include "base/str.hpp"

namespace gristmill {

uint64_t xxh64(std::string_view data, uint64_t seed) { return XXH64(data.data(), data.size(), seed); }
uint64_t xxh3(std::string_view data, uint64_t seed) {
  return XXH3_64bits_withSeed(data.data(), data.size(), seed);
}

std::string xxh128_hex(std::string_view data) {
  const XXH128_hash_t hash = XXH3_128bits(data.data(), data.size());
  return format_hex64(hash.high64) + format_hex64(hash.low64);
}

Xxh64Stream::Xxh64Stream() : state_(XXH64_createState()) {
  XXH64_reset(static_cast<XXH64_state_t*>(state_), 0);
}
Xxh64Stream::~Xxh64Stream() { XXH64_freeState(static_cast<XXH64_state_t*>(state_)); }
void Xxh64Stream::update(const void* data, size_t size) {
  XXH64_update(static_cast<XXH64_state_t*>(state_), data, size);
}
uint64_t Xxh64Stream::digest() const { return XXH64_digest(static_cast<const XXH64_state_t*>(state_)); }

}  // namespace gristmill
