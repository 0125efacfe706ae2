#pragma once

// Multiple-choice benchmarks by log-probability. For a context x and choices y_j, l_j = Σ log p(tokens of y_j
// | x); the answer is
//   acc        argmax l_j                       acc_norm   argmax l_j / characters of y_j
//   acc_bytes  argmax l_j / UTF-8 bytes of y_j  acc_token  argmax l_j / tokens of y_j
// with the first on ties. The space that joins context and choice is scored but not counted in any length.
// Context and choice are tokenized together and cut at the context's tokens; a context that is too long loses
// its beginning.
//
// One question can be put in several styles, whose scores differ by tens of points for the same model:
//   harness   "Question: …\nAnswer:" and the choices' own texts (lm-evaluation-harness, "continuation")
//   original  lettered choices under Hendrycks's header, scored by the letter's log-probability
//   helm      lettered choices in HELM's form; one token drawn greedily must be the letter

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "base/stats.hpp"
#include "decode/session.hpp"
#include "shard/reader.hpp"

namespace gristmill::eval {

enum class Style { harness, original, helm };
std::string_view to_string(Style style);

enum class Task {
  choices,  ///< {"question" | "context", "choices", "answer": index or letter, "subject"?}; a context stands
            ///< as it is
  mmlu,     ///< the same with "question", rated by subject
  hellaswag,  ///< {"activity_label", "ctx_a", "ctx_b", "endings", "label"}, cleaned as the harness does
};

struct Question {
  std::string id, subject;
  std::string context;  ///< the question, or the text that the choices continue
  bool bare = false;    ///< the choices continue the context as it stands: no "Question:" around it
  std::vector<std::string> choices;
  size_t answer = 0;

  /// Error{input} with `where` in front for what is no question of the task.
  static Question parse(std::string_view line, std::string_view where, Task task);
};

struct BenchmarkOptions {
  Task task = Task::choices;
  std::vector<Style> styles = {Style::harness};
  int64_t shots = 0;  ///< examples in front of each question, the first of its subject in `examples`
  std::vector<Question> examples;
  int64_t batch_tokens = 4096;
};

/// Text of a question in a style: the examples, the question, and where its answer would begin.
std::string render_question(const Question& question, Style style, const std::vector<Question>& shots);

/// What the model made of one question in one style.
struct Outcome {
  Style style = Style::harness;
  size_t question = 0;
  std::vector<double> log_probs;  ///< one a choice; empty for helm
  std::vector<uint64_t> characters, bytes, tokens;
  std::string drawn;       ///< helm: the text of the token drawn
  int64_t shots = 0;       ///< examples that fitted into the context
  bool truncated = false;  ///< the question itself lost its beginning

  /// Index of the choice taken by l_j / lengths (or bare l_j when empty).
  size_t pick(const std::vector<uint64_t>& lengths) const;
  Json to_json(const Question& question) const;
};

std::vector<Question> read_questions(shard::Reader& reader, Task task, Stats& stats);

/// Scores all questions in all styles, in order: styles within a question.
std::vector<Outcome> run_benchmark(decode::Session& session, const std::vector<Question>& questions,
                                   const BenchmarkOptions& options);

/// Report: {"task", "n", "random_baseline", "results": [{"style", "acc", "acc_stderr", …, "subjects"?}]}.
Json summarize_benchmark(const std::vector<Question>& questions, const std::vector<Outcome>& outcomes,
                         Task task);

}  // namespace gristmill::eval
