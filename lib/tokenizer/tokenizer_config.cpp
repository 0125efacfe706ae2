// tokenizer_config.json: what Hugging Face's AutoTokenizer wants beside tokenizer.json.

#include "base/json.hpp"
#include "tokenizer/tokenizer.hpp"

namespace gristmill::tokenizer {
namespace {

// ChatML in Jinja: the text that chat_template.cpp's ids decode to.
constexpr const char* kChatMl =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
    "'<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

}  // namespace

std::string tokenizer_config_json(const Tokenizer& tokenizer) {
  const std::string end(tokenizer.token_bytes(tokenizer.end_of_text()));
  Json added = Json::object();
  for (const std::string& content : tokenizer.specials()) {
    Json token = Json::object();
    token["content"] = content;
    for (const char* key : {"lstrip", "normalized", "rstrip", "single_word"}) token[key] = false;
    token["special"] = true;
    added[std::to_string(*tokenizer.special(content))] = std::move(token);
  }
  Json config = Json::object();
  config["tokenizer_class"] = "PreTrainedTokenizerFast";
  config["added_tokens_decoder"] = std::move(added);
  config["bos_token"] = end;
  config["eos_token"] = end;
  if (tokenizer.special(kPad)) config["pad_token"] = kPad;
  if (tokenizer.special(kTurnStart) && tokenizer.special(kTurnEnd)) config["chat_template"] = kChatMl;
  config["clean_up_tokenization_spaces"] = false;
  config["add_prefix_space"] = false;
  return config.dump(2) + "\n";
}

}  // namespace gristmill::tokenizer
