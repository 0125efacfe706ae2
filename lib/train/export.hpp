#pragma once

// A finished run's model as others take it: weights, config.json and tokenizer in a folder of its own, in the
// type and the file size they want. Checkpoints stay as they are, one fp32 file: a run goes on from them.

#include <cstdint>
#include <string>

#include "model/model_directory.hpp"
#include "model/transformer.hpp"

namespace gristmill::train {

struct ExportOptions {
  std::string directory;  ///< empty = no export
  model::StoredType type = model::StoredType::f32;
  uint64_t max_shard_size = 5'000'000'000;  ///< bytes a file, the rest in further ones with an index; 0 = one
};

/// Error{usage} if the folder is there and is not empty: asked before a run, not at its end.
void check_export(const ExportOptions& options);

/// Writes the folder whole or not at all.
void export_model(const model::Transformer& model, const std::string& tokenizer,
                  const ExportOptions& options);

}  // namespace gristmill::train
