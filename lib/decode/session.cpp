#include "decode/session.hpp"

#include <filesystem>

#include "base/error.hpp"
#include "base/json.hpp"
#include "model/model_directory.hpp"
#include "tokenizer/chat_template.hpp"

namespace gristmill::decode {

namespace {

std::vector<uint32_t> stop_ids_of(const tokenizer::Tokenizer& tokenizer) {
  std::vector<uint32_t> ids = {tokenizer.end_of_text()};
  if (const auto end = tokenizer::find_end_of_turn(tokenizer)) ids.push_back(*end);
  return ids;
}

/// Configurations say -1 or null for "nothing ends a text"; an id that the model cannot produce says the
/// same.
std::vector<uint32_t> stop_ids_of_config(const std::string& directory, int64_t vocab_size) {
  const std::string path = (std::filesystem::path(directory) / "config.json").string();
  const Json config = read_json_file(path);
  const Json* eos = config.find("eos_token_id");
  std::vector<uint32_t> ids;
  if (eos == nullptr || eos->is_null()) return ids;
  for (const Json& id : eos->is_array() ? eos->as_array() : Json::Array{*eos}) {
    if (id.is_null()) continue;
    if (!id.is_integer())
      fail(Kind::input, path, ": eos_token_id is an id or a list of ids, not ", id.dump());
    const int64_t value = id.as_int();
    if (value >= 0 && value < vocab_size) ids.push_back(static_cast<uint32_t>(value));
  }
  return ids;
}

}  // namespace

const tokenizer::Tokenizer& Session::tokens() const {
  if (tokenizer == nullptr)
    fail(Kind::usage, path, " was opened without a tokenizer; name one with --tokenizer FILE");
  return *tokenizer;
}

Session open_session(runtime::Device& device, const std::string& path, WithTokenizer with,
                     const std::string& tokenizer_file, model::Head head, model::WeightStorage weights) {
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
    const std::string trained_with = model::tokenizer_hash(session.path);
    if (!trained_with.empty() && trained_with != session.tokenizer->hash()) {
      fail(
          Kind::input, file, ": not the tokenizer that ", session.path,
          " was trained with (gristmill_tokenizer in its config.json names another file); name that one with "
          "--tokenizer FILE");
    }
    if (static_cast<int64_t>(session.tokenizer->vocab_size()) > config.vocab_size) {
      fail(Kind::input, file, ": its vocabulary of ", session.tokenizer->vocab_size(), " does not fit ",
           session.path, ", which has ", config.vocab_size,
           "; name the tokenizer the model was trained with by --tokenizer FILE");
    }
  }
  session.stop_ids = session.tokenizer != nullptr ? stop_ids_of(*session.tokenizer)
                                                  : stop_ids_of_config(session.path, config.vocab_size);
  session.model = model::load_model(device, session.path, head, 1, weights);
  return session;
}

}  // namespace gristmill::decode
