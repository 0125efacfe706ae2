#pragma once

// metrics.jsonl: one line a step, {"step", "tokens", "loss", "lr", "grad_norm", "tokens_per_s", "mfu",
// "memory", …the objective's own}. "step" counts finished steps, so that the last line before
// checkpoints/step-N says N; "tokens" counts from the start of the run; "memory" is the process's peak in
// bytes. "mfu" is the share of the device's peak (Device::peak_flops) that the model's own FLOPs make: of
// pre-training tokens a second times Config::flops_per_token (6 · active parameters + 12 · layers · width ·
// context; embeddings, tied or not, count as parameters, experts that a token is not sent to do not,
// causality is not deducted, recomputation and extra passes do not count; Chowdhery et al. 2022, appendix B),
// of tuning what align/flops.hpp counts. What is not
// finite or not known is null.

#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"

namespace gristmill::train {

struct MetricsLine {
  int64_t step = 0, tokens = 0;
  double loss = 0, learning_rate = 0, gradient_norm = 0, tokens_per_second = 0;
  std::optional<double> mfu;
  std::map<std::string, double> values;

  Json to_json() const;
};

/// Appends lines to RUN_DIR/metrics.jsonl.
class MetricsLog {
 public:
  /// Keeps the lines up to `last_step` of a file that is there.
  MetricsLog(const std::string& run_dir, int64_t last_step);
  void write(const MetricsLine& line);
  /// Forces what was written to the disk.
  void sync();

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
};

/// The lines of a run's metrics.jsonl; a cut last line is left out.
std::vector<Json> read_metrics(const std::string& run_dir);

}  // namespace gristmill::train
