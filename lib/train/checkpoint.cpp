#include "train/checkpoint.hpp"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"
#include "model/model_directory.hpp"
#include "train/folders.hpp"

namespace gristmill::train {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kTemporary = ".saving-";

fs::path trainee_folder(const fs::path& checkpoint, const std::vector<Objective::Trainee>& trainees,
                        size_t index) {
  return index == 0 ? checkpoint : checkpoint / trainees[index].name;
}

}  // namespace

Json TrainerState::to_json() const {
  Json json = Json::object();
  json["step"] = step;
  json["tokens"] = tokens;
  json["seed"] = seed;
  json["device"] = device;
  json["options"] = record;
  json["objective"] = objective;
  if (!recent.is_null()) json["recent"] = recent;
  return json;
}

TrainerState TrainerState::from_json(const Json& json) {
  TrainerState state;
  state.step = json.at("step").as_int();
  state.tokens = json.at("tokens").as_int();
  state.seed = json.at("seed").as_uint();
  state.device = json.at("device").as_string();
  state.record = json.at("options");
  state.objective = json.at("objective");
  if (const Json* recent = json.find("recent")) state.recent = *recent;
  if (state.step < 0 || state.tokens < 0 || !state.record.is_object())
    fail(Kind::input,
         "step or tokens are below 0, or options are no object; go back to an earlier checkpoint");
  return state;
}

std::string save_checkpoint(const std::string& run_dir, const std::vector<Objective::Trainee>& trainees,
                            const std::vector<Optimizer>& optimizers, const TrainerState& state,
                            const std::string& tokenizer) {
  const fs::path root = fs::path(run_dir) / "checkpoints", target = root / str("step-", state.step);
  const fs::path temporary = root / str(kTemporary, state.step);
  const Ranks* ranks = trainees.front().ranks;
  const bool writes = ranks == nullptr || ranks->is_first();
  if (writes) remove_folder(temporary);
  UnfinishedFolder unfinished(writes ? temporary : fs::path());
  for (size_t i = 0; i < trainees.size(); ++i) {
    const fs::path folder = trainee_folder(temporary, trainees, i);
    if (writes) {
      make_folder(folder);
      const bool narrow = trainees[i].model->parameters().type() == runtime::DType::bf16;
      model::save_model(*trainees[i].model, folder.string(), tokenizer,
                        {.type = narrow ? model::StoredType::bf16 : model::StoredType::f32});
    }
    optimizers[i].save((folder / "optimizer.safetensors").string());
  }
  if (!writes) return target.string();
  write_file((temporary / "trainer.json").string(), state.to_json().dump(2) + "\n");
  remove_folder(target);
  rename_durably(temporary.string(), target.string());
  unfinished.keep();
  return target.string();
}

TrainerState load_trainer_state(const std::string& checkpoint) {
  const std::string path = (fs::path(checkpoint) / "trainer.json").string();
  try {
    return TrainerState::from_json(read_json_file(path, uint64_t{1} << 28));
  } catch (const Error& error) {
    const std::string message = error.what();
    if (message.find(path) != std::string::npos) throw;
    fail(Kind::input, path, ": ", message);
  }
}

void load_checkpoint(const std::string& checkpoint, const std::vector<Objective::Trainee>& trainees,
                     std::vector<Optimizer>& optimizers) {
  for (size_t i = 0; i < trainees.size(); ++i) {
    const fs::path folder = trainee_folder(checkpoint, trainees, i);
    model::load_weights(*trainees[i].model, folder.string());
    optimizers[i].load((folder / "optimizer.safetensors").string());
  }
}

void prune_checkpoints(const std::string& run_dir, int64_t keep) {
  std::vector<std::pair<int64_t, fs::path>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(fs::path(run_dir) / "checkpoints", error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kTemporary)) remove_folder(entry.path());
    if (!name.starts_with("step-")) continue;
    if (const auto step = parse_int(std::string_view(name).substr(5)))
      found.emplace_back(*step, entry.path());
  }
  if (keep < 1) return;
  std::sort(found.begin(), found.end());
  while (static_cast<int64_t>(found.size()) > keep) {
    remove_folder(found.front().second);
    found.erase(found.begin());
  }
}

}  // namespace gristmill::train
