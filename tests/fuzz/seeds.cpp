// Writes good inputs for every fuzz target: DIR/json/…, DIR/shard/…, one folder a target. From them libFuzzer
// starts.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/file.hpp"
#include "base/str.hpp"
#include "model/safetensors.hpp"
#include "shard/tokens.hpp"
#include "shard/writer.hpp"
#include "tokenizer/train.hpp"

using namespace gristmill;

namespace {

constexpr const char* kDocument =
    R"({"id":"a","text":"caf\u00e9 and more text","url":"http://x.example/","metadata":{"n":[1,2.5,null]}})";

void write_seed(const std::string& folder, const std::string& name, const std::string& content) {
  std::filesystem::create_directories(folder);
  write_file(folder + "/" + name, content);
}

void shard_seeds(const std::string& folder) {
  write_seed(folder, "plain.jsonl", str(kDocument, "\n", kDocument, "\n"));
  shard::WriterOptions small;
  small.frame_bytes = 64;
  shard::Writer writer(folder + "/documents.zst", {}, small);
  for (int i = 0; i < 4; ++i) writer.write(kDocument);
  writer.close(Json::array());
  shard::TokenWriter tokens(folder + "/tokens.tok.zst", {std::string(32, '0'), 300, 0}, Json::object(), 1, 1);
  for (int i = 0; i < 3; ++i) tokens.write(std::vector<uint32_t>{5, 6, 7, 299});
  tokens.close(Json::array());
}

std::string warc_record(const std::string& type, const std::string& block) {
  return str("WARC/1.0\r\nWARC-Type: ", type,
             "\r\nWARC-Target-URI: <http://x.example/>\r\nWARC-Record-ID: <urn:uuid:1>\r\n",
             "WARC-Date: 2024-01-01T00:00:00Z\r\nContent-Type: "
             "application/http;msgtype=response\r\nContent-Length: ",
             block.size(), "\r\n\r\n", block, "\r\n\r\n");
}

void safetensors_seed(const std::string& folder) {
  model::SafetensorsWriter writer;
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  writer.add("w", {2, 3}, values);
  writer.add("d", {2}, std::vector<double>{1, 2});
  writer.set_metadata("format", "pt");
  std::filesystem::create_directories(folder);
  writer.write(folder + "/model.safetensors");
}

void tokenizer_seed(const std::string& folder) {
  tokenizer::TrainOptions options;
  options.vocab_size = 280;
  int left = 3;
  const auto trained = tokenizer::train(
      [&]() -> std::optional<std::string> {
        if (left == 0) return std::nullopt;
        --left;
        return "the mill grinds the grist and the miller grinds the mill";
      },
      options);
  write_seed(folder, "tokenizer.json", trained.json);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: fuzz_seeds DIR\n", stderr);
    return 2;
  }
  const std::string root = argv[1];
  const std::string page =
      "<!doctype html><title>T</title><body><main><p>Some <b>text</b> &amp; more<table><td>cell</main>";
  write_seed(root + "/json", "value.json", kDocument);
  write_seed(root + "/json", "config.toml", "a = [1, \"x\\u00e9\", {b = 2.5}]\n[t.\"u v\"]\nc = 'd' # e\n");
  write_seed(root + "/records", "document", kDocument);
  write_seed(root + "/records", "chat",
             R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"}]})");
  write_seed(root + "/records", "preference", R"({"prompt":"a","chosen":"b","rejected":"c","margin":1})");
  write_seed(root + "/records", "hh",
             R"({"chosen":"\n\nHuman: a\n\nAssistant: b","rejected":"\n\nHuman: a\n\nAssistant: c"})");
  write_seed(root + "/records", "alpaca", R"({"instruction":"a","input":"b","output":"c"})");
  shard_seeds(root + "/shard");
  const std::string http =
      "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";
  write_seed(
      root + "/warc", "two.warc",
      warc_record("warcinfo", "software: x\r\n") + warc_record("response", http + "3\r\n<p>\r\n0\r\n\r\n"));
  write_seed(root + "/html", "page.html", page);
  tokenizer_seed(root + "/tokenizer");
  safetensors_seed(root + "/safetensors");
  return 0;
}
