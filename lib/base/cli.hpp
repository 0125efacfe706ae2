#pragma once

// The command line of every tool: a façade over CLI11 that makes all of them behave alike. Options are
// bound to the fields of a stage's option struct; defaults are read from there and shown in --help.
//
//   int main(int argc, char** argv) {
//     DedupOptions options;
//     cli::Tool tool("dedup", "Removes duplicate documents.");
//     tool.inputs().output().threads().seed();
//     tool.option("--threshold", options.threshold, "Jaccard similarity from which two documents are
//     duplicates"); tool.choice("--method", options.method, {{"exact", Method::exact}, …}, "…");
//     tool.example("dedup --method minhash a.jsonl.zst -o b.jsonl.zst");
//     return tool.run(argc, argv, [&] { … tool.report(stats); });
//   }

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/stats.hpp"

namespace gristmill::cli {

/// Values of the options that all tools share; a tool has those it asked for.
struct Common {
  std::vector<std::string>
      inputs;  ///< {"-"} when no file was named; empty for a part of --shard without files
  std::string output = "-";
  int threads = 0;  ///< set to the affinity mask's count unless given; at least 1 after parsing
  uint64_t seed = 1;
  std::string device = "auto";
  std::string stats_file;
  bool force = false;
};

class Tool {
 public:
  Tool(std::string name, std::string summary);
  ~Tool();
  Tool(const Tool&) = delete;
  Tool& operator=(const Tool&) = delete;

  // Common options, each with its one meaning (DESIGN: the command line). --config, --progress, -q, -v,
  // --help and
  // --version are always there.
  Tool& inputs(const std::string& what = "input files; none or - is standard input");
  /// With one of these flags given the tool does without input: a terminal at standard input is then no
  /// mistake.
  Tool& inputs_unless(std::vector<std::string> flags);
  Tool& output(const std::string& what = "output file; - is standard output");
  /// The output is binary: refuse a terminal unless --force.
  Tool& binary_output(const std::string& what = "output file; - is standard output");
  Tool& threads();
  Tool& seed();
  Tool& device();
  Tool& stats();
  /// --shard I/N or slurm: common().inputs holds one part of the input files, perhaps none of them.
  Tool& shard();

  // Options of the tool. A bool is a flag (`--name`).
  void option(const std::string& flags, bool& value, const std::string& help);
  void option(const std::string& flags, int& value, const std::string& help);
  void option(const std::string& flags, int64_t& value, const std::string& help);
  void option(const std::string& flags, uint64_t& value, const std::string& help);
  void option(const std::string& flags, double& value, const std::string& help);
  void option(const std::string& flags, std::string& value, const std::string& help);
  void option(const std::string& flags, std::vector<std::string>& value, const std::string& help);
  /// A size in bytes: 64MiB, 2G.
  void size_option(const std::string& flags, uint64_t& value, const std::string& help);
  /// A required positional argument or option: marks the last one added.
  void required();
  /// Starts a group of options in --help.
  void group(const std::string& name);
  /// One of several names; `value` holds the default and the result.
  template <class Enum>
  void choice(const std::string& flags, Enum& value, const std::vector<std::pair<std::string, Enum>>& names,
              const std::string& help) {
    std::vector<std::string> texts;
    std::string current;
    for (const auto& [text, item] : names) {
      texts.push_back(text);
      if (item == value) current = text;
    }
    choice_text(flags, texts, current, help, [&value, names](const std::string& text) {
      for (const auto& [known, item] : names) {
        if (known == text) value = item;
      }
    });
  }
  /// A runnable example for --help.
  void example(const std::string& command);

  /// A subcommand with options of its own (`arena-judge rate`). Its body runs in place of the tool's.
  Tool& subcommand(const std::string& name, const std::string& summary, std::function<void()> body);

  /// True if the option was given on the command line or in the configuration file.
  bool given(const std::string& flag) const;
  const Common& common() const;
  const std::string& name() const;

  /// Parses, runs the body and returns the exit code: 0, 1 failed, 2 usage, 75 stopped after a checkpoint.
  /// The only place that turns an Error into a message and a code.
  int run(int argc, char** argv, const std::function<void()>& body = {});

  /// Writes --stats and one line for people on standard error.
  void report(const Stats& stats) const;

 private:
  struct State;
  explicit Tool(std::unique_ptr<State> state);
  std::optional<int> parse(int argc, char** argv);  ///< an exit code if there is nothing to run
  void check_ends();  ///< what is read and where output goes, against what is given
  void choice_text(const std::string& flags, const std::vector<std::string>& names,
                   const std::string& current, const std::string& help,
                   std::function<void(const std::string&)> set);
  std::unique_ptr<State> state_;
};

}  // namespace gristmill::cli
