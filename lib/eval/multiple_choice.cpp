#include "eval/multiple_choice.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "base/error.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "decode/generator.hpp"
#include "decode/scoring.hpp"
#include "text/utf8.hpp"

namespace gristmill::eval {

namespace {

constexpr size_t kBlockQuestions = 256;  ///< questions whose prompts are held at once

/// A context ready for the model and its continuations' ids.
struct Encoded {
  std::vector<uint32_t> context;  ///< from the end-of-text id on
  std::vector<std::vector<uint32_t>> choices;
};

/// Tokenizes context and choices together: the tokens of a choice are those behind as many as the context has
/// alone. Trailing spaces of the context belong to the choices.
Encoded encode(const tokenizer::Tokenizer& tokenizer, std::string_view context,
               const std::vector<std::string>& choices) {
  Encoded encoded;
  const size_t end = context.find_last_not_of(' ');
  const size_t cut = end == std::string_view::npos ? 0 : end + 1;
  const std::string_view head = context.substr(0, cut), joint = context.substr(cut);
  encoded.context = {tokenizer.end_of_text()};
  tokenizer.encode(head, encoded.context);
  const size_t length = encoded.context.size();
  for (const auto& choice : choices) {
    std::vector<uint32_t> ids = {tokenizer.end_of_text()};
    tokenizer.encode(str(head, joint.empty() ? " " : joint, choice), ids);
    // A merge across the boundary could leave nothing of a short choice; its last token is then scored.
    const size_t from = std::min(length, ids.size() - 1);
    encoded.choices.emplace_back(ids.begin() + static_cast<std::ptrdiff_t>(from), ids.end());
  }
  return encoded;
}

std::vector<std::string> continuations(const Question& question, Style style) {
  if (style == Style::harness) return question.choices;
  std::vector<std::string> letters;
  for (size_t i = 0; i < question.choices.size(); ++i) letters.emplace_back(1, static_cast<char>('A' + i));
  return letters;
}

std::vector<Question> shots_for(const Question& question, const BenchmarkOptions& options) {
  std::vector<Question> shots;
  for (const auto& example : options.examples) {
    if (static_cast<int64_t>(shots.size()) == options.shots) break;
    if (example.subject == question.subject) shots.push_back(example);
  }
  return shots;
}

/// Collects the requests of a block of questions and hands the answers back.
class Runner {
 public:
  Runner(decode::Session& session, const BenchmarkOptions& options) : session_(session), options_(options) {}

  void add(const Question& question, size_t number, Style style) {
    auto shots = shots_for(question, options_);
    const auto context = static_cast<size_t>(session_.model->config().context);
    Outcome outcome;
    outcome.style = style;
    outcome.question = number;
    Encoded encoded;
    size_t longest = 0;
    for (;; shots.pop_back()) {  // examples go before the question loses anything
      encoded =
          encode(session_.tokens(), render_question(question, style, shots), continuations(question, style));
      longest = 0;
      for (const auto& choice : encoded.choices) longest = std::max(longest, choice.size());
      if (shots.empty() || encoded.context.size() + longest <= context) break;
    }
    if (longest > context)
      fail(Kind::input, "question ", number + 1, ": a choice alone is longer than the model's context");
    outcome.shots = static_cast<int64_t>(shots.size());
    const size_t room = context + 1 - longest;
    if (encoded.context.size() > room) {
      outcome.truncated = true;
      encoded.context.erase(encoded.context.begin(),
                            encoded.context.end() - static_cast<std::ptrdiff_t>(room));
    }
    style == Style::helm ? add_draw(encoded, outcome) : add_scores(question, encoded, outcome);
    outcomes_.push_back(std::move(outcome));
  }

  void finish(std::vector<Outcome>& out) {
    const auto scores = decode::score(*session_.model, scored_, options_.batch_tokens);
    decode::GenerateOptions greedy;
    greedy.sampling.temperature = 0;
    greedy.max_tokens = 1;
    const auto draws = decode::generate(*session_.model, drawn_, greedy);
    size_t next_score = 0, next_draw = 0;
    for (auto& outcome : outcomes_) {
      if (outcome.style == Style::helm) {
        outcome.drawn = session_.tokens().decode(draws[next_draw++].ids, true);
      }
      for (double& log_prob : outcome.log_probs) {
        for (const double token : scores[next_score++]) log_prob += token;
        if (!std::isfinite(log_prob)) {
          fail(Kind::input, session_.path,
               ": the model's probabilities are no numbers; its weights are damaged");
        }
      }
      out.push_back(std::move(outcome));
    }
    scored_.clear();
    drawn_.clear();
    outcomes_.clear();
  }

 private:
  void add_scores(const Question& question, const Encoded& encoded, Outcome& outcome) {
    const auto texts = continuations(question, outcome.style);
    for (size_t i = 0; i < texts.size(); ++i) {
      decode::ScoreRequest request{encoded.context, encoded.context.size()};
      request.ids.insert(request.ids.end(), encoded.choices[i].begin(), encoded.choices[i].end());
      scored_.push_back(std::move(request));
      outcome.log_probs.push_back(0);
      outcome.characters.push_back(text::count_code_points(texts[i]));
      outcome.bytes.push_back(texts[i].size());
      outcome.tokens.push_back(encoded.choices[i].size());
    }
  }

  void add_draw(Encoded& encoded, Outcome&) {
    const auto context = static_cast<size_t>(session_.model->config().context);
    auto& ids = encoded.context;
    if (ids.size() >= context) ids.erase(ids.begin(), ids.end() - static_cast<std::ptrdiff_t>(context - 1));
    drawn_.push_back({ids, 0});
  }

  decode::Session& session_;
  const BenchmarkOptions& options_;
  std::vector<decode::ScoreRequest> scored_;
  std::vector<decode::Request> drawn_;
  std::vector<Outcome> outcomes_;
};

bool drawn_is_right(const Outcome& outcome, const Question& question) {
  const auto text = strip(outcome.drawn);
  return text.size() == 1 && text[0] == static_cast<char>('A' + question.answer);
}

/// Names and verdicts of the ways one outcome can be counted.
std::vector<std::pair<std::string, bool>> verdicts(const Outcome& outcome, const Question& question) {
  if (outcome.style == Style::helm) return {{"acc", drawn_is_right(outcome, question)}};
  std::vector<std::pair<std::string, bool>> list = {{"acc", outcome.pick({}) == question.answer}};
  if (outcome.style == Style::harness) {
    list.emplace_back("acc_norm", outcome.pick(outcome.characters) == question.answer);
    list.emplace_back("acc_bytes", outcome.pick(outcome.bytes) == question.answer);
    list.emplace_back("acc_token", outcome.pick(outcome.tokens) == question.answer);
  }
  return list;
}

struct Tally {
  uint64_t right = 0, n = 0;
  double rate() const { return static_cast<double>(right) / static_cast<double>(n); }
};

Json summarize_style(const std::vector<Question>& questions, const std::vector<Outcome>& outcomes,
                     Style style) {
  std::vector<std::string> names;  // in the order of verdicts()
  std::map<std::string, Tally> total;
  std::map<std::string, Tally> subjects;
  uint64_t truncated = 0;
  for (const auto& outcome : outcomes) {
    if (outcome.style != style) continue;
    const auto& question = questions[outcome.question];
    truncated += outcome.truncated ? 1 : 0;
    for (const auto& [name, right] : verdicts(outcome, question)) {
      auto& tally = total[name];
      if (tally.n == 0) names.push_back(name);
      tally.right += right ? 1 : 0;
      ++tally.n;
      if (name != "acc" || question.subject.empty()) continue;
      subjects[question.subject].right += right ? 1 : 0;
      ++subjects[question.subject].n;
    }
  }
  Json json = Json::object();
  json["style"] = to_string(style);
  for (const auto& name : names) {
    const auto& tally = total.at(name);
    const double p = tally.rate();
    json[name] = p;
    json[name + "_stderr"] =
        tally.n > 1 ? Json(std::sqrt(p * (1 - p) / static_cast<double>(tally.n - 1))) : Json();
  }
  json["truncated"] = truncated;
  if (subjects.empty()) return json;
  double macro = 0;
  Json by_subject = Json::object();
  for (const auto& [subject, tally] : subjects) {
    by_subject[subject] = tally.rate();
    macro += tally.rate() / static_cast<double>(subjects.size());
  }
  json["acc_macro"] = macro;
  json["subjects"] = std::move(by_subject);
  return json;
}

}  // namespace

size_t Outcome::pick(const std::vector<uint64_t>& lengths) const {
  size_t best = 0;
  double best_score = 0;
  for (size_t i = 0; i < log_probs.size(); ++i) {
    const double score = lengths.empty() ? log_probs[i] : log_probs[i] / static_cast<double>(lengths[i]);
    if (i == 0 || score > best_score) {
      best = i;
      best_score = score;
    }
  }
  return best;
}

Json Outcome::to_json(const Question& asked) const {
  Json json = Json::object();
  json["question"] = static_cast<int64_t>(question);
  if (!asked.id.empty()) json["id"] = asked.id;
  if (!asked.subject.empty()) json["subject"] = asked.subject;
  json["style"] = to_string(style);
  json["answer"] = static_cast<int64_t>(asked.answer);
  for (const auto& [name, right] : verdicts(*this, asked)) json[name] = right;
  const auto list = [](const auto& values) {
    Json array = Json::array();
    for (const auto value : values) array.push_back(Json(value));
    return array;
  };
  if (style == Style::helm) {
    json["drawn"] = drawn;
  } else {
    json["log_probs"] = list(log_probs);
    json["characters"] = list(characters);
    json["bytes"] = list(bytes);
    json["tokens"] = list(tokens);
  }
  json["shots"] = shots;
  json["truncated"] = truncated;
  return json;
}

std::vector<Question> read_questions(shard::Reader& reader, Task task, Stats& stats) {
  std::vector<Question> questions;
  std::string_view line;
  while (reader.next(line)) {
    ++stats.records_in;
    questions.push_back(Question::parse(line, reader.where(), task));
  }
  stats.bytes_in += reader.bytes_read();
  if (questions.empty()) fail(Kind::input, "no questions in the input");
  return questions;
}

std::vector<Outcome> run_benchmark(decode::Session& session, const std::vector<Question>& questions,
                                   const BenchmarkOptions& options) {
  if (options.shots < 0) fail(Kind::usage, "--shots is 0 or more");
  if (options.shots > 0 && options.examples.empty())
    fail(Kind::usage, "--shots needs examples: name a file with --dev");
  std::vector<Outcome> outcomes;
  progress::Counter progress("asking", "questions", questions.size());
  Runner runner(session, options);
  for (size_t i = 0; i < questions.size(); ++i) {
    for (const Style style : options.styles) runner.add(questions[i], i, style);
    if ((i + 1) % kBlockQuestions == 0) runner.finish(outcomes);
    progress.add();
  }
  runner.finish(outcomes);
  return outcomes;
}

Json summarize_benchmark(const std::vector<Question>& questions, const std::vector<Outcome>& outcomes,
                         Task task) {
  double random = 0;
  for (const auto& question : questions) random += 1 / static_cast<double>(question.choices.size());
  Json json = Json::object();
  json["task"] = task == Task::choices ? "choices" : task == Task::mmlu ? "mmlu" : "hellaswag";
  json["n"] = questions.size();
  json["random_baseline"] = random / static_cast<double>(questions.size());
  json["results"] = Json::array();
  for (const Style style : {Style::harness, Style::original, Style::helm}) {
    const bool there =
        std::any_of(outcomes.begin(), outcomes.end(), [&](const Outcome& o) { return o.style == style; });
    if (there) json["results"].push_back(summarize_style(questions, outcomes, style));
  }
  return json;
}

}  // namespace gristmill::eval
