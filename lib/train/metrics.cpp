#include "train/metrics.hpp"

#include <unistd.h>

#include <filesystem>
#include <string_view>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/stats.hpp"

namespace gristmill::train {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxLine = 1 << 20;

std::string metrics_path(const std::string& run_dir) {
  return (fs::path(run_dir) / "metrics.jsonl").string();
}

}  // namespace

Json MetricsLine::to_json() const {
  Json json = Json::object();
  json["step"] = step;
  json["tokens"] = tokens;
  json["loss"] = loss;
  json["lr"] = learning_rate;
  json["grad_norm"] = gradient_norm;
  json["tokens_per_s"] = tokens_per_second;
  json["mfu"] = mfu ? Json(*mfu) : Json(nullptr);
  json["memory"] = peak_memory();
  for (const auto& [name, value] : values) json[name] = value;
  return json;
}

std::vector<Json> read_metrics(const std::string& run_dir) {
  std::vector<Json> lines;
  const std::string path = metrics_path(run_dir);
  if (!fs::exists(path)) return lines;
  LineReader reader(path, kMaxLine);
  std::string_view line;
  while (reader.next(line)) {
    try {
      lines.push_back(Json::parse(line, path));
    } catch (const Error&) {
      break;  // a power cut may cut the last line; what a checkpoint covers was synced before it
    }
  }
  return lines;
}

MetricsLog::MetricsLog(const std::string& run_dir, int64_t last_step) : path_(metrics_path(run_dir)) {
  if (fs::exists(path_) && !fs::is_regular_file(path_))
    fail(Kind::io, "cannot write ", path_, ": it is no regular file");
  std::string kept;
  for (const auto& line : read_metrics(run_dir)) {
    const Json* step = line.find("step");
    if (step != nullptr && step->is_integer() && step->as_int() <= last_step) kept += line.dump() + "\n";
  }
  write_file(path_, kept);
  file_.reset(std::fopen(path_.c_str(), "ae"));
  if (file_ == nullptr) fail_errno("cannot write", path_);
}

void MetricsLog::write(const MetricsLine& line) {
  const std::string text = line.to_json().dump() + "\n";
  if (std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size() || std::fflush(file_.get()) != 0) {
    fail_errno("cannot write", path_);
  }
}

void MetricsLog::sync() {
  if (::fsync(::fileno(file_.get())) != 0) fail_errno("cannot write", path_);
}

}  // namespace gristmill::train
