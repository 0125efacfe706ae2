#pragma once

// Model directories in Hugging Face's layout: config.json, model.safetensors, tokenizer.json,
// generation_config.json.

#include <memory>
#include <string>

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
                                        Head head = Head::language, uint64_t seed = 1);

/// Loads the weights of a model directory into a model of the same configuration; errors as in load_model().
void load_weights(Transformer& model, const std::string& directory);

/// Config of a model directory.
Config load_config(const std::string& path);

/// Writes config.json, model.safetensors (F32) and generation_config.json into an existing folder, and copies
/// the tokenizer's files (tokenizer.json, tokenizer_config.json) from `tokenizer_directory` unless it is
/// empty. It may also be the tokenizer's file itself, under any name.
void save_model(const Transformer& model, const std::string& directory,
                const std::string& tokenizer_directory = "");

}  // namespace gristmill::model
