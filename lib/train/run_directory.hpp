#pragma once

// A run directory's frame: config.toml (the options as `--config` reads them back) and the rules for starting
// and resuming.

#include <string>

#include "base/json.hpp"

namespace gristmill::train {

/// Makes the folder. One that already holds a run is Error{usage} unless `resume`.
void open_run_directory(const std::string& run_dir, bool resume);

/// Writes config.toml from an object of scalars and arrays of scalars under the names of flags; null members
/// are left out. Members of objects in it are facts that no flag sets: they become comments.
void write_config(const std::string& run_dir, const Json& record);

/// Error{usage} that lists the keys in which the options differ from those that a checkpoint was made with.
void require_same_options(const Json& saved, const Json& now, const std::string& checkpoint);

}  // namespace gristmill::train
