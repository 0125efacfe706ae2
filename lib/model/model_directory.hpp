#pragma once

// Model directories in Hugging Face's layout: config.json, model.safetensors, tokenizer.json,
// generation_config.json.

#include <cstdint>
#include <memory>
#include <string>

#include "model/safetensors.hpp"
#include "model/transformer.hpp"

namespace gristmill::model {

/// The folder that holds config.json for `path`: itself, or its last checkpoint when it is a run directory.
/// Error{input} that says what was looked for otherwise.
std::string resolve_model_directory(const std::string& path);

/// The complete checkpoint with the highest step of a run directory; empty if there is none.
std::string last_checkpoint(const std::string& run_directory);

/// Loads a model. `head` picks what to put on top: loading a language model with Head::scalar keeps the body
/// and starts score.weight at N(0, 1/(dim+1)) from `seed`; a missing tensor, a wrong shape, an unknown dtype
/// or a NaN is Error{input} naming the tensor. F32, F16 and BF16 files, whole or in shards
/// (model.safetensors.index.json), are read.
std::unique_ptr<Transformer> load_model(runtime::Device& device, const std::string& path,
                                        Head head = Head::language, uint64_t seed = 1,
                                        WeightStorage storage = WeightStorage::real);

/// Loads the weights of a model directory into a model of the same configuration; errors as in load_model().
void load_weights(Transformer& model, const std::string& directory);

/// Config of a model directory.
Config load_config(const std::string& path);

/// xxh128_hex of the tokenizer.json that a model was saved with ("gristmill_tokenizer" in config.json); ""
/// when none is recorded.
std::string tokenizer_hash(const std::string& path);

struct SaveOptions {
  StoredType type = StoredType::f32;
  uint64_t max_file_bytes = 0;  ///< more weights than this are cut into files with an index; 0 = one file
};

/// Writes config.json, the weights and generation_config.json into an existing folder, and copies the
/// tokenizer's files (tokenizer.json, tokenizer_config.json) from `tokenizer_directory` unless it is empty.
/// It may also be the tokenizer's file itself, under any name. The architecture is the one of Hugging Face
/// that computes the same: Qwen2 with biases of q, k and v, Qwen3 with QK-norm, else Llama, or GPT-2; with a
/// scalar head its ForSequenceClassification. A weight that f16 cannot hold is Error{input}.
void save_model(const Transformer& model, const std::string& directory,
                const std::string& tokenizer_directory = "", const SaveOptions& options = {});

}  // namespace gristmill::model
