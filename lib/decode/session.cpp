#include "decode/session.hpp"

#include <filesystem>
#include <utility>

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

void check_tokenizer(const tokenizer::Tokenizer& tokenizer, const std::string& file,
                     const ModelFiles& files) {
  const std::string trained_with = model::tokenizer_hash(files.path);
  if (!trained_with.empty() && trained_with != tokenizer.hash()) {
    fail(Kind::input, file, ": not the tokenizer that ", files.path,
         " was trained with (gristmill_tokenizer in its config.json names another file); put that one there, "
         "or "
         "name it by --tokenizer FILE where the tool has it");
  }
  if (static_cast<int64_t>(tokenizer.vocab_size()) > files.config.vocab_size) {
    fail(
        Kind::input, file, ": its vocabulary of ", tokenizer.vocab_size(), " does not fit ", files.path,
        ", which has ", files.config.vocab_size,
        "; put the tokenizer that the model was trained with there, or name it by --tokenizer FILE where the "
        "tool has it");
  }
}

}  // namespace

const tokenizer::Tokenizer& Session::tokens() const {
  if (tokenizer == nullptr)
    fail(Kind::usage, path, " was opened without a tokenizer; name one with --tokenizer FILE");
  return *tokenizer;
}

ModelFiles open_model_files(const std::string& path, WithTokenizer with, const std::string& tokenizer_file,
                            std::optional<model::Head> head) {
  if (path.empty()) fail(Kind::usage, "no model: name a model or run directory with --model DIR");
  ModelFiles files;
  files.path = model::resolve_model_directory(path);
  files.config = model::load_config(files.path);
  if (head && files.config.head != *head) {
    fail(Kind::input, files.path,
         *head == model::Head::scalar
             ? ": holds a language model, not a reward model; make one with reward-train"
             : ": holds a reward model, not a language model");
  }
  const auto beside = std::filesystem::path(files.path) / "tokenizer.json";
  const bool wanted = with == WithTokenizer::yes || !tokenizer_file.empty() ||
                      (with == WithTokenizer::if_present && std::filesystem::exists(beside));
  if (!wanted) return files;
  const auto file = tokenizer_file.empty() ? beside.string() : tokenizer_file;
  files.tokenizer = std::make_unique<tokenizer::Tokenizer>(tokenizer::Tokenizer::load(file));
  check_tokenizer(*files.tokenizer, file, files);
  return files;
}

Session open_session(runtime::Device& device, const std::string& path, WithTokenizer with,
                     const std::string& tokenizer_file, model::Head head, model::WeightStorage weights) {
  ModelFiles files = open_model_files(path, with, tokenizer_file, head);
  Session session;
  session.path = files.path;
  session.tokenizer = std::move(files.tokenizer);
  session.stop_ids = session.tokenizer != nullptr ? stop_ids_of(*session.tokenizer)
                                                  : stop_ids_of_config(session.path, files.config.vocab_size);
  session.model = model::load_model(device, session.path, head, 1, weights);
  return session;
}

}  // namespace gristmill::decode
