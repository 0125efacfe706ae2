#include "decode/session.hpp"

#include <filesystem>

#include "base/error.hpp"
#include "model/model_directory.hpp"

namespace gristmill::decode {

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
  if (with == WithTokenizer::yes) {
    const auto file = tokenizer_file.empty()
                          ? (std::filesystem::path(session.path) / "tokenizer.json").string()
                          : tokenizer_file;
    session.tokenizer = std::make_unique<tokenizer::Tokenizer>(tokenizer::Tokenizer::load(file));
    if (static_cast<int64_t>(session.tokenizer->vocab_size()) > config.vocab_size) {
      fail(Kind::input, file, ": its vocabulary of ", session.tokenizer->vocab_size(), " does not fit ",
           session.path, ", which has ", config.vocab_size,
           "; name the tokenizer the model was trained with by --tokenizer FILE");
    }
  }
  session.model = model::load_model(device, session.path, head);
  return session;
}

}  // namespace gristmill::decode
