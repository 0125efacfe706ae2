// Questions from their records, and their text in each style.

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "base/str.hpp"
#include "eval/multiple_choice.hpp"

namespace gristmill::eval {

namespace {

constexpr size_t kMaxChoices = 26;

std::string letter(size_t index) { return std::string(1, static_cast<char>('A' + index)); }

const std::string& string_at(const Json& json, std::string_view where, std::string_view key) {
  const Json* value = json.find(key);
  if (value == nullptr || !value->is_string())
    fail(Kind::input, where, ": a question needs the text \"", key, "\"");
  return value->as_string();
}

void read_choices(const Json& json, std::string_view where, std::string_view key, Question& question) {
  const Json* list = json.find(key);
  if (list == nullptr || !list->is_array())
    fail(Kind::input, where, ": a question needs the list \"", key, "\"");
  for (const auto& choice : list->as_array()) {
    if (!choice.is_string()) fail(Kind::input, where, ": a choice is no text");
    if (choice.as_string().empty()) fail(Kind::input, where, ": a choice is empty");
    question.choices.push_back(choice.as_string());
  }
  if (question.choices.size() < 2 || question.choices.size() > kMaxChoices) {
    fail(Kind::input, where, ": ", question.choices.size(), " choices; a question has 2 to ", kMaxChoices);
  }
}

/// An index, its digits, or a letter.
size_t read_answer(const Json& json, std::string_view where, std::string_view key, size_t choices) {
  const Json* value = json.find(key);
  int64_t index = -1;
  if (value != nullptr && value->is_integer()) index = value->as_int();
  if (value != nullptr && value->is_string()) {
    const auto text = strip(value->as_string());
    if (const auto number = parse_int(text)) {
      index = *number;
    } else if (text.size() == 1) {
      index = (text[0] | 0x20) - 'a';
    }
  }
  if (index < 0 || index >= static_cast<int64_t>(choices)) {
    fail(Kind::input, where, ": \"", key, "\" names none of the ", choices,
         " choices (index from 0, or letter)");
  }
  return static_cast<size_t>(index);
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

/// The harness's cleaning of HellaSwag: WikiHow's "[title]" and other bracketed marks go, then double spaces
/// (once).
std::string clean_hellaswag(std::string_view raw) {
  std::string text(strip(raw));
  replace_all(text, " [title]", ". ");
  for (size_t open = text.find('['); open != std::string::npos; open = text.find('[', open)) {
    const size_t close = text.find(']', open);
    if (close == std::string::npos) break;
    text.erase(open, close - open + 1);
  }
  std::string squeezed;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ' ' && i + 1 < text.size() && text[i + 1] == ' ') ++i;
    squeezed += text[i];
  }
  return squeezed;
}

/// Python's str.capitalize() on ASCII letters: the first upper, the rest lower.
std::string capitalize(std::string_view text) {
  std::string result = to_lower_ascii(text);
  if (!result.empty() && result[0] >= 'a' && result[0] <= 'z')
    result[0] = static_cast<char>(result[0] - 'a' + 'A');
  return result;
}

Question parse_hellaswag(const Json& json, std::string_view where) {
  Question question;
  question.bare = true;
  question.context =
      clean_hellaswag(str(string_at(json, where, "activity_label"), ": ", string_at(json, where, "ctx_a"),
                          " ", capitalize(string_at(json, where, "ctx_b"))));
  read_choices(json, where, "endings", question);
  for (auto& choice : question.choices) choice = clean_hellaswag(choice);
  question.answer = read_answer(json, where, "label", question.choices.size());
  return question;
}

/// Hendrycks's format_subject puts a space in front of every word: "about" is followed by two.
std::string spaced_subject(const std::string& subject) {
  std::string out;
  for (const auto word : split(subject, '_')) out += str(" ", word);
  return out;
}

std::string header(const Question& question, Style style) {
  if (question.bare || style == Style::harness) return {};
  const std::string opening = "The following are multiple choice questions (with answers)";
  if (question.subject.empty()) return opening + ".\n\n";
  if (style == Style::original) return str(opening, " about ", spaced_subject(question.subject), ".\n\n");
  std::string subject = question.subject;
  std::replace(subject.begin(), subject.end(), '_', ' ');
  return str(opening, " about ", subject, ".\n\n");
}

/// The question up to where its answer begins.
std::string body(const Question& question, Style style) {
  if (style == Style::harness)
    return question.bare ? question.context : str("Question: ", question.context, "\nAnswer:");
  std::string text = style == Style::helm ? str("Question: ", question.context) : question.context;
  for (size_t i = 0; i < question.choices.size(); ++i)
    text += str("\n", letter(i), ". ", question.choices[i]);
  return text + "\nAnswer:";
}

}  // namespace

std::string_view to_string(Style style) {
  return style == Style::harness ? "harness" : style == Style::original ? "original" : "helm";
}

Question Question::parse(std::string_view line, std::string_view where, Task task) {
  const Json json = Json::parse(line, where);
  if (!json.is_object()) fail(Kind::input, where, ": a question is a JSON object");
  Question question;
  if (task == Task::hellaswag) {
    question = parse_hellaswag(json, where);
  } else {
    const bool bare = task == Task::choices && json.find("question") == nullptr;
    question.bare = bare;
    question.context = std::string(strip(string_at(json, where, bare ? "context" : "question")));
    read_choices(json, where, "choices", question);
    question.answer = read_answer(json, where, "answer", question.choices.size());
    if (const Json* subject = json.find("subject"); subject != nullptr && subject->is_string()) {
      question.subject = subject->as_string();
    }
  }
  if (const Json* id = json.find("id"); id != nullptr && !id->is_null()) {
    question.id = id->is_string() ? id->as_string() : id->dump();
  }
  return question;
}

std::string render_question(const Question& question, Style style, const std::vector<Question>& shots) {
  std::string text = header(question, style);
  for (const auto& shot : shots) {
    text += body(shot, style);
    text += str(" ", style == Style::harness ? shot.choices[shot.answer] : letter(shot.answer), "\n\n");
  }
  return text + body(question, style);
}

}  // namespace gristmill::eval
