#pragma once

// A run directory's frame: config.toml (the options as `--config` reads them back) and the rules for starting
// and resuming.

#include <string>
#include <vector>

#include "base/json.hpp"

namespace gristmill::train {

/// One process trains in a run directory at a time: two that resume the same run would mix their metrics and
/// checkpoints. The lock goes with the process, however it ends; a file system without locks has none.
class RunLock {
 public:
  /// Error{usage} when another process has it.
  explicit RunLock(const std::string& run_dir);
  ~RunLock();
  RunLock(RunLock&& other) noexcept;
  RunLock& operator=(RunLock&&) = delete;

 private:
  int descriptor_;
};

/// Error{usage} if the folder already holds a run and it is not to go on (`resume`).
void check_run_directory(const std::string& run_dir, bool resume);

/// Makes the folder, or takes one that check_run_directory() accepts.
[[nodiscard]] RunLock open_run_directory(const std::string& run_dir, bool resume);

/// Writes config.toml from an object of scalars and arrays of scalars under the names of flags; null members
/// are left out. Members of objects in it are facts that no flag sets: they become comments.
void write_config(const std::string& run_dir, const Json& record);

/// Whose records are compared: a run's and its resumption's, or those of ranks that run together.
enum class Between { runs, ranks };

/// The keys in which two records differ, each as "key (was A, now B)", but for those that change no weight;
/// between ranks also those that change no weight but when the ranks wait for each other.
std::vector<std::string> differences(const Json& before, const Json& now, Between between = Between::runs);

/// A record short enough for Ranks::texts, which cuts long ones: members of objects as members of the whole,
/// and a hash in place of each long value.
Json fingerprint(const Json& record);

/// Error{usage} that lists the keys in which the options differ from those that a checkpoint was made with.
void require_same_options(const Json& saved, const Json& now, const std::string& checkpoint);

}  // namespace gristmill::train
