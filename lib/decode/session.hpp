#pragma once

// A model together with its tokenizer, as generation, evaluation and judging use them.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/config.hpp"
#include "model/transformer.hpp"
#include "runtime/device.hpp"
#include "tokenizer/tokenizer.hpp"

namespace gristmill::decode {

/// The device that was opened must outlive the session.
struct Session {
  std::string path;  ///< the model directory, resolved
  std::unique_ptr<model::Transformer> model;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer;  ///< null when opened without

  /// Ids that end a text: the tokenizer's end of text and, where it has one, end of turn; without a tokenizer
  /// what config.json calls eos_token_id (one or a list; none there = nothing stops a sequence but its
  /// length).
  std::vector<uint32_t> stop_ids;

  /// The tokenizer; Error{usage} that says what to do when the session has none.
  const tokenizer::Tokenizer& tokens() const;
};

enum class WithTokenizer { yes, if_present, no };

/// A model directory without its weights.
struct ModelFiles {
  std::string path;  ///< the model directory, resolved
  model::Config config;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer;  ///< null when opened without
};

/// Reads the small files of a model directory, or of the last checkpoint of a run directory, and the
/// tokenizer.json beside the weights (`tokenizer_file` unless empty): a moment's work, so that a wrong model
/// is refused before data are read. A tokenizer with more ids than the model's vocabulary is Error{input}:
/// its ids would be out of range. So is one other than the one that the model was saved with, where
/// config.json records that: its ids would mean other text. Fewer are allowed, since vocabularies are often
/// padded. A `head` other than the model's is Error{input}: a language model's rewards would be random;
/// nullopt = either.
ModelFiles open_model_files(const std::string& path, WithTokenizer with = WithTokenizer::yes,
                            const std::string& tokenizer_file = "",
                            std::optional<model::Head> head = model::Head::language);

/// The same with the weights.
Session open_session(runtime::Device& device, const std::string& path,
                     WithTokenizer with = WithTokenizer::yes, const std::string& tokenizer_file = "",
                     model::Head head = model::Head::language,
                     model::WeightStorage weights = model::WeightStorage::real);

}  // namespace gristmill::decode
