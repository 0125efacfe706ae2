#pragma once

// The flags that all trainers share, bound to TrainOptions.

#include "base/cli.hpp"
#include "base/json.hpp"
#include "train/trainer.hpp"

namespace gristmill::train {

/// Adds --run-dir, --resume, --lr, --schedule and the other options of the loop; defaults are those in
/// `options`.
void add_train_flags(cli::Tool& tool, TrainOptions& options);

/// Once the flags are read: takes over the shared seed, and notes what was given.
void read_train_flags(const cli::Tool& tool, TrainOptions& options);

/// What config.toml keeps of them, under the names of the flags; "about" holds what has none.
Json to_json(const TrainOptions& options);

}  // namespace gristmill::train
