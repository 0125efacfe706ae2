#pragma once

// A finished run's model as others take it: weights, config.json and tokenizer in a folder of its own, in the
// type and the file size they want. Checkpoints stay as they are, one fp32 file: a run goes on from them.
//
// The folder X is filled under the name X.saving. What a killed process left there is replaced, if it is
// nothing but an unfinished export: config.json is written last, and a folder that has one, or any other
// file, is somebody's and stays.

#include <cstdint>
#include <string>

#include "model/model_directory.hpp"
#include "model/transformer.hpp"

namespace gristmill::train {

struct ExportOptions {
  std::string directory;  ///< empty = no export
  model::StoredType type = model::StoredType::f32;
  uint64_t max_shard_size = 5'000'000'000;  ///< bytes a file, the rest in further ones with an index; 0 = one
  bool form_given = false;  ///< type or max_shard_size was asked for: Error{usage} without a directory
};

/// Error{usage} if the folder is there and is not empty, if X.saving holds what no export left, or if either
/// lies in the run directory or around it: asked before a run, not at its end.
void check_export(const ExportOptions& options, const std::string& run_dir);

/// Writes the folder whole or not at all.
void export_model(const model::Transformer& model, const std::string& tokenizer,
                  const ExportOptions& options);

}  // namespace gristmill::train
