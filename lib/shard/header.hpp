#pragma once

// What a shard says of itself before its data: schema, tool, options. Nothing here may depend on threads,
// devices, paths, hosts or the clock, since equal work must give equal bytes.

#include <cstdint>
#include <string>

#include "base/json.hpp"

namespace gristmill::shard {

inline constexpr const char* kDocuments = "documents";
inline constexpr const char* kConversations = "conversations";
inline constexpr const char* kPreferences = "preferences";
inline constexpr const char* kTokens = "tokens";
inline constexpr const char* kRecords = "records";  ///< JSON Lines of any other kind (completions, verdicts)

struct Header {
  std::string schema = kDocuments;
  std::string tool;
  uint64_t seed = 1;
  Json options = Json::object();  ///< the options that affect the output
  Json extra = Json::object();    ///< schema-specific: a token shard's dtype, vocabulary size, tokenizer hash
  std::string version;            ///< of the tool; the writer fills it in
};

}  // namespace gristmill::shard
