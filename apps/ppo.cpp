// ppo: proximal policy optimization against a reward model.

#include <utility>

#include "align/ppo.hpp"
#include "align/start.hpp"
#include "align/tuning_memory.hpp"
#include "base/cli.hpp"
#include "decode/session.hpp"
#include "model/model_directory.hpp"
#include "train/flags.hpp"

using namespace gristmill;

namespace {

void add_method_flags(cli::Tool& tool, align::PpoOptions& options) {
  tool.group("Method");
  tool.option("--iterations", options.iterations, "rounds of sampling and learning");
  tool.option("--rollout-batch", options.rollout_batch, "prompts sampled in a round");
  tool.option("--epochs", options.epochs, "passes over a round's samples");
  tool.option("--mini-batches", options.mini_batches, "optimizer steps a pass");
  tool.option("--micro-batch-tokens", options.micro_batch_tokens,
              "packed tokens of one forward and backward");
  tool.option("--max-response-tokens", options.max_response_tokens, "longest response");
  tool.option("--temperature", options.temperature,
              "of sampling; the policy's distribution is scored at it too");
  tool.option("--clip", options.clip, "largest change of a token's probability ratio that is rewarded");
  tool.option("--value-clip", options.value_clip, "largest rewarded change of a value");
  tool.option("--gamma", options.gamma, "discount");
  tool.option("--lambda", options.lambda, "of generalised advantage estimation");
  tool.option("--kl-coef", options.kl_coef, "price of a nat of KL to the reference");
  tool.option("--target-kl", options.target_kl,
              "steer --kl-coef towards this KL a response, in nats; 0 = fixed");
  tool.option("--missing-end-penalty", options.missing_end_penalty,
              "taken from the score of a response that does not end");
}

}  // namespace

int main(int argc, char** argv) {
  std::string model, reward_directory;
  std::vector<std::string> data;
  align::PpoOptions options;
  train::TrainOptions loop;
  loop.learning_rate = 5e-5;
  loop.beta2 = 0.999;
  loop.epsilon = 1e-5;
  loop.weight_decay = 0;
  loop.checkpoint_every = 100;

  cli::Tool tool("ppo",
                 "Aligns a language model with a reward model by sampling and proximal policy optimization.");
  tool.threads().seed().device().stats();
  tool.group("Data");
  tool.option("--model", model, "policy and reference: model directory or run directory");
  tool.required();
  tool.option("--reward-model", reward_directory, "reward model, also the critic's start");
  tool.required();
  tool.option("--data", data, "prompts (JSON Lines: prompt, or messages)");
  tool.required();
  add_method_flags(tool, options);
  train::add_train_flags(tool, loop);
  tool.example(
      "ppo --model out/sft --reward-model out/reward --data prompts.jsonl --run-dir out/ppo --kl-coef 0.05");

  return tool.run(argc, argv, [&] {
    train::read_train_flags(tool, loop);
    train::check_start(loop);
    options.seed = loop.seed;
    align::validate(options);
    const auto device = runtime::open_device(tool.common().device, tool.common().threads, loop.compute);
    const auto start = decode::open_model_files(model);
    const auto judge =
        decode::open_model_files(reward_directory, decode::WithTokenizer::yes, "", model::Head::scalar);
    const int64_t room = align::prompt_room(start, judge, options);
    const tokenizer::ChatTemplate chat(*start.tokenizer);
    Stats stats;
    auto prompts = align::load_prompts(data, chat, room, stats);
    train::report_memory(align::plan_ppo(start.config, judge.config, prompts, options, loop),
                         train::memory_limit(*device, loop.memory_limit));
    const auto load = [&](const std::string& path, model::Head head) {
      return model::load_model(*device, path, head, 1, loop.weights);
    };
    const auto policy = load(start.path, model::Head::language),
               reference = load(start.path, model::Head::language),
               reward = load(judge.path, model::Head::scalar), critic = load(judge.path, model::Head::scalar);
    Json record = train::to_json(loop);
    record["about"]["tool"] = "ppo";
    align::put(options, record);
    record["about"]["prompts"] = stats.records_out;
    record["about"]["data_digest"] = align::digest(prompts);
    record["model"] = start.path;
    record["reward-model"] = judge.path;
    align::PpoObjective objective(*policy, *critic, *reference, *reward, std::move(prompts),
                                  chat.end_of_turn(), options);
    train::run(objective, loop, record, start.path);
    tool.report(stats);
  });
}
