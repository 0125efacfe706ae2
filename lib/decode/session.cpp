#include "decode/session.hpp"

#include <filesystem>

#include "base/error.hpp"
#include "base/json.hpp"
#include "model/model_directory.hpp"

namespace gristmill::decode {

namespace {

std::vector<uint32_t> stop_ids_of(const tokenizer::Tokenizer& tokenizer) {
  std::vector<uint32_t> ids = {tokenizer.end_of_text()};
  if (const auto end = tokenizer.special(tokenizer::kTurnEnd)) ids.push_back(*end);
  return ids;
}

std::vector<uint32_t> stop_ids_of_config(const std::string& directory) {
  const Json config = read_json_file((std::filesystem::path(directory) / "config.json").string());
  const Json* eos = config.find("eos_token_id");
  std::vector<uint32_t> ids;
  if (eos == nullptr || eos->is_null()) return ids;
  for (const Json& id : eos->is_array() ? eos->as_array() : Json::Array{*eos})
    ids.push_back(static_cast<uint32_t>(id.as_uint()));
  return ids;
}

}  // namespace

const tokenizer::Tokenizer& Session::tokens() const {
  if (tokenizer == nullptr)
    fail(Kind::usage, path, " was opened without a tokenizer; name one with --tokenizer FILE");
  return *tokenizer;
}

Session open_session(runtime::Device& device, const std::string& path, WithTokenizer with,
                     const std::string& tokenizer_file, model::Head head) {
  if (path.empty()) fail(Kind::usage, "no model: name a model or run directory with --model DIR");
  Session session;
  session.path = model::resolve_model_directory(path);
  const auto config = model::load_config(session.path);
  if (config.head != head) {
    fail(Kind::input, session.path,
         head == model::Head::scalar
             ? ": holds a language model, not a reward model; make one with reward-train"
             : ": holds a reward model, not a language model");
  }
  const auto beside = std::filesystem::path(session.path) / "tokenizer.json";
  const bool wanted = with == WithTokenizer::yes || !tokenizer_file.empty() ||
                      (with == WithTokenizer::if_present && std::filesystem::exists(beside));
  if (wanted) {
    const auto file = tokenizer_file.empty() ? beside.string() : tokenizer_file;
    session.tokenizer = std::make_unique<tokenizer::Tokenizer>(tokenizer::Tokenizer::load(file));
    if (static_cast<int64_t>(session.tokenizer->vocab_size()) > config.vocab_size) {
      fail(Kind::input, file, ": its vocabulary of ", session.tokenizer->vocab_size(), " does not fit ",
           session.path, ", which has ", config.vocab_size,
           "; name the tokenizer the model was trained with by --tokenizer FILE");
    }
  }
  session.stop_ids =
      session.tokenizer != nullptr ? stop_ids_of(*session.tokenizer) : stop_ids_of_config(session.path);
  session.model = model::load_model(device, session.path, head);
  return session;
}

}  // namespace gristmill::decode
