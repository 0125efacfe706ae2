// shard-cat: any shard as JSON Lines; its header and trailer; whether it is whole.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/cli.hpp"
#include "base/error.hpp"
#include "base/file.hpp"
#include "shard/inspect.hpp"

namespace {

using namespace gristmill;

void print_records(const cli::Common& common, uint64_t limit) {
  constexpr size_t kBlock = 256 << 10;
  OutputFile out(common.output);
  std::string block;
  shard::cat_records(common.inputs, limit == 0 ? UINT64_MAX : limit, [&](std::string_view record) {
    block += record;
    block += '\n';
    if (block.size() < kBlock) return;
    out.write(block);
    block.clear();
  });
  out.write(block);
  out.close();
}

void print_headers(const cli::Common& common) {
  OutputFile out(common.output);
  for (const auto& input : common.inputs) {
    for (const auto& described : shard::describe(input)) out.write(described.dump() + "\n");
  }
  out.close();
}

void print_checks(const cli::Common& common) {
  OutputFile out(common.output);
  size_t damaged = 0;
  for (const auto& input : common.inputs) {
    const auto verdict = shard::check(input);
    out.write(verdict.line + "\n");
    if (!verdict.ok) ++damaged;
  }
  out.close();
  if (damaged > 0) {
    fail(Kind::input, damaged, " of ", common.inputs.size(), " inputs damaged; make or fetch them again");
  }
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t limit = 0;
  bool header = false, check = false;
  cli::Tool tool(
      "shard-cat",
      "Prints shards as JSON Lines: records as they are, a token shard as one line {\"ids\":[…]} a "
      "document (a token shard is held in memory).");
  tool.inputs("shards, or JSON Lines (plain, gzip, zstd); none or - is standard input").output();
  tool.group("What to print");
  tool.option("-n,--records", limit, "stop after this many records; 0 is all");
  tool.option("--header", header,
              "print header and trailer of each shard as one line of JSON (reads it whole)");
  tool.option("--check", check, "check every byte and print one line a file; exit code 1 if any is damaged");
  tool.example("shard-cat documents.jsonl.zst | jq .text");
  tool.example("shard-cat -n 3 tokens.tok.zst");
  tool.example("shard-cat --check out/*.zst");
  return tool.run(argc, argv, [&] {
    if (header && check) fail(Kind::usage, "--header and --check exclude each other; run shard-cat twice");
    if (header) return print_headers(tool.common());
    if (check) return print_checks(tool.common());
    print_records(tool.common(), limit);
  });
}
