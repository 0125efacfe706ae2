#include "decode/chat.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/log.hpp"
#include "base/str.hpp"

namespace gristmill::decode {

namespace {

constexpr uint64_t kMaxLine = 1 << 20;

}  // namespace

Chat::Chat(Session& session, GenerateOptions options, const std::string& system)
    : session_(&session),
      options_(std::move(options)),
      template_(session.tokens()),
      kept_(system.empty() ? 0 : 1) {
  if (!system.empty()) messages_.push_back({"system", system});
  options_.stop_ids.push_back(template_.end_of_turn());
}

std::vector<uint32_t> Chat::fitting_prompt() {
  const int64_t context = session_->model->config().context;
  // Room for a reply: what was asked for, but never more than half of the context.
  const int64_t room = std::min(options_.max_tokens, context / 2);
  for (;;) {
    auto ids = template_.prompt(messages_);
    if (static_cast<int64_t>(ids.size()) + room <= context && static_cast<int64_t>(ids.size()) < context)
      return ids;
    if (messages_.size() <= kept_ + 1) {
      fail(Kind::input, "the message takes ", ids.size(), " tokens of the model's context of ", context,
           "; say it shorter");
    }
    messages_.erase(messages_.begin() + static_cast<std::ptrdiff_t>(kept_));
    // What is left must not begin with an answer to a forgotten question.
    while (messages_.size() > kept_ + 1 && messages_[kept_].role == "assistant") {
      messages_.erase(messages_.begin() + static_cast<std::ptrdiff_t>(kept_));
    }
  }
}

std::string Chat::reply(const std::string& text, const std::function<void(std::string_view)>& on_text) {
  const auto before = messages_;
  messages_.push_back({"user", text});
  try {
    const std::vector<Request> requests = {{fitting_prompt(), turns_}};
    tokenizer::StreamDecoder decoder(session_->tokens());
    std::string reply;
    const auto add = [&](const std::string& piece) {
      reply += piece;
      if (on_text) on_text(piece);
    };
    generate(*session_->model, requests, options_, [&](size_t, uint32_t id) { add(decoder.push(id)); });
    add(decoder.finish());
    messages_.push_back({"assistant", reply});
    ++turns_;
    return reply;
  } catch (...) {
    messages_ = before;
    throw;
  }
}

void Chat::reset() { messages_.resize(kept_); }

void run_chat(Chat& chat) {
  OutputFile out("-");
  LineReader lines("-", kMaxLine);
  const bool people = is_terminal(STDIN_FILENO) && is_terminal(STDOUT_FILENO);
  if (people) log::info("type a message; /reset forgets the conversation, /quit ends it");
  std::string_view line;
  for (;;) {
    if (people) out.write("> ");
    if (!lines.next(line)) break;
    const std::string text(strip(line));
    if (text == "/quit") break;
    if (text == "/reset") {
      chat.reset();
      continue;
    }
    if (text.empty()) continue;
    try {
      chat.reply(text, [&](std::string_view piece) { out.write(piece); });
      out.write("\n");
    } catch (const Error& error) {
      if (error.kind() != Kind::input) throw;
      log::warn(error.what());
    }
  }
  out.close();
}

}  // namespace gristmill::decode
