// Two files of completions joined by prompt.

#include <map>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "eval/judge.hpp"

namespace gristmill::eval {

namespace {

struct Answer {
  std::string key, id, text;
  std::vector<shard::Message> prompt;
};

/// {"prompt": text or messages, "text" | "output": …, "id"?}: what generate writes, and AlpacaEval's
/// {"instruction", "output"}.
Answer parse_answer(std::string_view line, const std::string& where) {
  const Json json = Json::parse(line, where);
  Answer answer;
  const Json* text = json.find("text");
  if (text == nullptr) text = json.find("output");
  if (text == nullptr || !text->is_string())
    fail(Kind::input, where, ": an answer has its \"text\" (completions of generate)");
  answer.text = text->as_string();
  const Json* prompt = json.find("prompt");
  if (prompt == nullptr) prompt = json.find("instruction");
  if (prompt == nullptr) fail(Kind::input, where, ": an answer repeats its \"prompt\"");
  if (prompt->is_string()) {
    answer.prompt = {{"user", prompt->as_string()}};
  } else {
    answer.prompt = shard::messages_from_json(*prompt, where);
  }
  if (const Json* id = json.find("id"); id != nullptr && !id->is_null()) {
    answer.id = id->is_string() ? id->as_string() : id->dump();
  }
  answer.key = answer.id.empty() ? shard::to_json(answer.prompt).dump() : "#" + answer.id;
  return answer;
}

}  // namespace

std::vector<Pair> pair_answers(shard::Reader& a, shard::Reader& b, Stats& stats) {
  std::map<std::string, Answer> others;
  std::string_view line;
  while (b.next(line)) {
    auto answer = parse_answer(line, b.where());
    auto key = answer.key;
    if (!others.emplace(std::move(key), std::move(answer)).second) stats.drop("repeated_in_b");
    ++stats.records_in;
  }
  std::vector<Pair> pairs;
  std::map<std::string, bool> used;
  while (a.next(line)) {
    ++stats.records_in;
    auto answer = parse_answer(line, a.where());
    if (used.count(answer.key) != 0) {
      stats.drop("repeated_in_a");
      continue;
    }
    const auto found = others.find(answer.key);
    if (found == others.end()) {
      stats.drop("only_in_a");
      continue;
    }
    used[answer.key] = true;
    if (found->second.prompt != answer.prompt) {
      fail(Kind::input, a.where(), ": id ", in_quotes(answer.id),
           " belongs to another prompt in the second file");
    }
    pairs.push_back({answer.id.empty() ? answer.key : answer.id, std::move(answer.prompt),
                     std::move(answer.text), std::move(found->second.text)});
  }
  if (others.size() > pairs.size()) stats.drop("only_in_b", others.size() - pairs.size());
  stats.bytes_in = a.bytes_read() + b.bytes_read();
  if (pairs.empty())
    fail(Kind::input, "no prompt is answered in both files: are they about the same prompts?");
  return pairs;
}

}  // namespace gristmill::eval
