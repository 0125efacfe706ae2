#include "train/trainer.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/progress.hpp"
#include "model/model_directory.hpp"
#include "train/checkpoint.hpp"
#include "train/metrics.hpp"
#include "train/optimizer.hpp"
#include "train/outliers.hpp"
#include "train/report.hpp"
#include "train/run_directory.hpp"
#include "train/signals.hpp"

namespace gristmill::train {
namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<int64_t>(std::max(0.0, seconds));
  if (whole < 60) return str(whole, " s");
  if (whole < 3600) return str(whole / 60, " min ", whole % 60, " s");
  return str(whole / 3600, " h ", whole % 3600 / 60, " min");
}

OptimizerOptions optimizer_options(const TrainOptions& options) {
  OptimizerOptions result;
  result.kind = options.optimizer;
  result.beta1 = options.beta1;
  result.beta2 = options.beta2;
  result.epsilon = options.epsilon;
  result.weight_decay = options.weight_decay;
  result.clip_norm = options.clip_norm;
  result.seed = options.seed;
  return result;
}

class Loop {
 public:
  Loop(Objective& objective, const TrainOptions& options, const Json& record, std::string tokenizer)
      : objective_(objective),
        options_(options),
        tokenizer_(std::move(tokenizer)),
        trainees_(objective.trainees()),
        total_(objective.total_steps()) {
    if (trainees_.empty()) fail(Kind::internal, "an objective without a model");
    if (total_ < 1) fail(Kind::usage, "not even one step to train; give more data or a larger token budget");
    state_.seed = options.seed;
    state_.device = trainees_.front().model->device().name();
    state_.record = Json::parse(record.dump());  // as a checkpoint gives it back, so that the two compare
    for (const auto& trainee : trainees_) {
      trainee.model->set_recompute(options.recompute);
      optimizers_.emplace_back(trainee.model->device(), trainee.model->parameters().table(),
                               optimizer_options(options), trainee.ranks);
    }
  }

  void run() {
    require_one_run();
    if (is_first()) {
      check_start(options_);
      lock_.emplace(open_run_directory(options_.run_dir, options_.resume));
    }
    if (ranks() != nullptr) ranks()->meet();
    if (options_.resume) load();
    require_same_step();
    objective_.reserve();
    if (is_first()) {
      write_config(options_.run_dir, state_.record);
      metrics_ = std::make_unique<MetricsLog>(options_.run_dir, state_.step);
    }
    const StopSignals signals;
    start_ = seconds_now();
    first_step_ = state_.step;
    while (state_.step < total_) {
      step();
      const bool possible = objective_.can_checkpoint(state_.step);
      const bool due = state_.step == total_ || (options_.checkpoint_every > 0 &&
                                                 state_.step - saved_step_ >= options_.checkpoint_every);
      const bool stop = is_requested(signals) && state_.step < total_;
      if (possible && (due || stop)) save();
      if (possible && stop) {
        throw Stopped(str("stopped on a signal after step ", state_.step, "; go on with --resume"));
      }
    }
    if (saved_step_ != state_.step) save();
    progress::clear();
    log::info("finished ", total_, " steps, ", state_.tokens, " tokens: ", last_checkpoint_);
    if (is_first()) export_model(*trainees_.front().model, tokenizer_, options_.export_to);
  }

 private:
  Ranks* ranks() const { return trainees_.front().ranks; }
  /// Of one rank, or of several: true of the one that writes.
  bool is_first() const { return ranks() == nullptr || ranks()->is_first(); }
  /// A signal to one rank stops all after the same step.
  bool is_requested(const StopSignals& signals) const {
    return ranks() == nullptr ? signals.requested() : ranks()->any(signals.requested());
  }

  /// Ranks with different options or data would train a mixture of both, or wait for each other at different
  /// steps; on different kernels, they would train what no single rank repeats bit for bit.
  void require_one_run() {
    if (ranks() == nullptr) return;
    Json mine = state_.record;
    mine["objective"] = objective_.shared_facts();
    mine["checkpoint-every"] = options_.checkpoint_every;
    mine["validate-every"] = options_.validate_every;
    const auto runs = ranks()->texts(fingerprint(mine).dump()), devices = ranks()->texts(state_.device);
    for (size_t rank = 1; rank < runs.size(); ++rank) {
      const auto found = differences(Json::parse(runs[0]), Json::parse(runs[rank]), Between::ranks);
      if (!found.empty())
        fail(Kind::usage, "rank ", rank, " was started with other options than rank 0: ", join(found, ", "));
      if (!runtime::same_hardware(devices[rank], devices[0]))
        log::warn("rank ", rank, " runs on ", devices[rank], ", rank 0 on ", devices[0],
                  ": one rank alone will not give the same bits");
    }
  }

  void require_same_step() const {
    if (ranks() == nullptr) return;
    const auto step = static_cast<double>(state_.step);
    for (const double other : ranks()->in_order(ranks()->size(), std::span(&step, 1))) {
      if (other == step) continue;
      fail(Kind::usage, options_.run_dir, ": the ranks see different checkpoints (of steps ", other, " and ",
           step, "); the run directory must be one that all of them share");
    }
  }

  void load() {
    const std::string checkpoint = model::last_checkpoint(options_.run_dir);
    if (checkpoint.empty()) return;
    TrainerState saved = load_trainer_state(checkpoint);
    require_same_options(saved.record, state_.record, checkpoint);
    if (saved.step > total_)
      fail(Kind::input, checkpoint, ": is of step ", saved.step, " of a run of ", total_, " steps");
    if (saved.seed != options_.seed) {
      fail(Kind::usage, checkpoint, ": was made with seed ", saved.seed, ", not ", options_.seed);
    }
    if (!runtime::same_hardware(saved.device, state_.device)) {
      log::warn(checkpoint, " was made on ", saved.device, ", this is ", state_.device,
                ": the run will not be bit for bit the same");
    }
    load_checkpoint(checkpoint, trainees_, optimizers_);
    objective_.load_state(saved.objective);
    state_.step = saved.step;
    state_.tokens = saved.tokens;
    if (options_.skip_outliers > 0) {
      losses_.load(saved.recent.at("loss"));
      norms_.load(saved.recent.at("grad_norm"));
    }
    saved_step_ = saved.step;
    last_checkpoint_ = checkpoint;
    log::info("resumed from ", checkpoint);
  }

  void step() {
    const double begin = seconds_now();
    for (const auto& trainee : trainees_) trainee.model->zero_gradients();
    StepMetrics sums;
    objective_.accumulate(state_.step, sums);
    MetricsLine line;
    line.learning_rate = options_.learning_rate * schedule_factor(options_.schedule, state_.step, total_);
    std::vector<double> norms;
    for (size_t i = 0; i < trainees_.size(); ++i) {
      norms.push_back(optimizers_[i].gradient_norm(trainees_[i].model->gradients()));
      if (i > 0) sums.values["grad_norm/" + trainees_[i].name] = norms[i];
    }
    line.loss = sums.loss;
    line.gradient_norm = norms.front();
    line.step = state_.step + 1;
    line.tokens = state_.tokens + sums.tokens;
    line.values = std::move(sums.values);
    stop_if_not_finite(line, norms);
    if (!is_outlier(line)) update(norms, line);
    const double seconds = std::max(1e-9, seconds_now() - begin);
    line.tokens_per_second = static_cast<double>(sums.tokens) / seconds;
    const double peak = sums.flops > 0 ? trainees_.front().model->device().peak_flops() : 0;
    const double peaks = peak * (ranks() == nullptr ? 1 : ranks()->size());
    if (peaks > 0) line.mfu = sums.flops / seconds / peaks;
    state_.step = line.step;
    state_.tokens = line.tokens;
    validate(line);
    if (metrics_) metrics_->write(line);
    show(line);
  }

  void update(const std::vector<double>& norms, const MetricsLine& line) {
    for (size_t i = 0; i < trainees_.size(); ++i) {
      auto& model = *trainees_[i].model;
      optimizers_[i].update(model.parameters(), model.gradients(), norms[i], line.learning_rate, line.step);
      model.device().synchronize();
    }
  }

  /// Marks a step to leave out; both windows move on in any case.
  bool is_outlier(MetricsLine& line) {
    if (options_.skip_outliers <= 0) return false;
    const double loss = losses_.score(line.loss), norm = norms_.score(line.gradient_norm);
    if (std::max(loss, norm) <= options_.skip_outliers) return false;
    line.values["skipped"] = 1;
    log::info("step ", line.step, " is left out: its loss (", format_fixed(line.loss, 4), ") lies ",
              format_fixed(loss, 1), " and its gradient norm (", format_fixed(line.gradient_norm, 4), ") ",
              format_fixed(norm, 1), " standard deviations above the last ", OutlierWindow::kSize);
    return true;
  }

  void stop_if_not_finite(const MetricsLine& line, const std::vector<double>& norms) {
    const bool finite = std::isfinite(line.loss) && std::all_of(norms.begin(), norms.end(), [](double norm) {
                          return std::isfinite(norm);
                        });
    if (finite) return;
    if (metrics_) metrics_->write(line);
    fail(Kind::input, "step ", line.step, ": the loss (", line.loss, ") or the gradient norm (",
         line.gradient_norm, ") is not finite; the last good checkpoint is ", last_good(),
         "; lower the learning rate or check the data");
  }

  std::string last_good() const { return last_checkpoint_.empty() ? "none" : last_checkpoint_; }

  /// What is not finite can only be thrown away: it must not take the place of a good checkpoint.
  void refuse_broken_weights() {
    for (size_t i = 0; i < trainees_.size(); ++i) {
      if (optimizers_[i].is_finite(trainees_[i].model->parameters())) continue;
      fail(Kind::input, "step ", state_.step, ": the weights of the ", trainees_[i].name,
           " or their moments are not finite, and no checkpoint was made of them; the last good checkpoint "
           "is ",
           last_good(), "; lower the learning rate or check the data");
    }
  }

  void validate(MetricsLine& line) {
    const bool due =
        line.step == total_ || (options_.validate_every > 0 && line.step % options_.validate_every == 0);
    if (!due) return;
    std::string text;
    for (const auto& [name, value] : objective_.validate()) {
      line.values[name] = value;
      text += str("  ", name, " ", format_fixed(value, 4));
    }
    if (!text.empty()) log::info("step ", line.step, "/", total_, text);
  }

  void show(const MetricsLine& line) const {
    if (!is_first() || !progress::due()) return;
    const double passed = seconds_now() - start_;
    const double left =
        passed / static_cast<double>(line.step - first_step_) * static_cast<double>(total_ - line.step);
    progress::show(str("step ", line.step, "/", total_, "  loss ", format_fixed(line.loss, 4), "  ",
                       format_fixed(line.tokens_per_second, 0), " tokens/s  ",
                       line.mfu ? str("MFU ", format_fixed(100 * *line.mfu, 1), " %  ") : "",
                       duration_text(left), " left"));
  }

  void save() {
    refuse_broken_weights();
    state_.objective = objective_.save_state();
    if (options_.skip_outliers > 0) {
      state_.recent["loss"] = losses_.to_json();
      state_.recent["grad_norm"] = norms_.to_json();
    }
    if (metrics_) metrics_->sync();
    last_checkpoint_ = save_checkpoint(options_.run_dir, trainees_, optimizers_, state_, tokenizer_);
    saved_step_ = state_.step;
    if (!is_first()) return;
    prune_checkpoints(options_.run_dir, options_.keep_checkpoints);
    write_report(options_.run_dir, state_.record);
    log::debug("saved ", last_checkpoint_);
  }

  Objective& objective_;
  const TrainOptions& options_;
  std::string tokenizer_;
  std::vector<Objective::Trainee> trainees_;
  std::vector<Optimizer> optimizers_;
  int64_t total_, saved_step_ = 0, first_step_ = 0;
  double start_ = 0;
  TrainerState state_;
  std::optional<RunLock> lock_;          ///< the first rank's
  std::unique_ptr<MetricsLog> metrics_;  ///< the first rank's
  OutlierWindow losses_, norms_;
  std::string last_checkpoint_;
};

}  // namespace

void run(Objective& objective, const TrainOptions& options, const Json& record,
         const std::string& tokenizer_directory) {
  check(options);
  const auto launched = runtime::launched_ranks();
  if (objective.trainees().front().ranks == nullptr && launched && *launched > 1) {
    fail(Kind::usage, "a launcher started ", *launched,
         " of these, but this tool trains in one process; start it without mpirun or srun");
  }
  Loop(objective, options, record, tokenizer_directory).run();
}

}  // namespace gristmill::train
