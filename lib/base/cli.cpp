#include "base/cli.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <iterator>
#include <limits>
#include <new>
#include <optional>
#include <system_error>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/job_array.hpp"
#include "base/log.hpp"
#include "base/number.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "base/toml.hpp"
#include "base/version.hpp"

namespace gristmill::cli {

namespace {

constexpr int kFailed = 1, kUsage = 2, kRequeue = 75;

/// CLI11's message, but for an unknown key, which it calls an INI that cannot be parsed.
std::string explain(std::string message) {
  constexpr std::string_view kUnknown = "INI was not able to parse ";
  if (!message.starts_with(kUnknown)) return message;
  return "unknown key \"" + message.substr(kUnknown.size()) + "\" in the --config file";
}

std::string version_text(const std::string& name) {
  return str(name, " (gristmill) ", GRISTMILL_VERSION, "\ncompiler ", GRISTMILL_COMPILER, ", backends: cpu");
}

/// CLI11 asks this for the contents of --config. Its own reader cuts strings at # and differs between
/// versions.
class TomlConfig : public CLI::Config {
 public:
  std::string to_config(const CLI::App*, bool, bool, std::string) const override { return {}; }
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    const std::string text{std::istreambuf_iterator<char>(input), std::istreambuf_iterator<char>()};
    std::vector<CLI::ConfigItem> result;
    for (const auto& setting : flatten_toml(parse_toml(text, "--config"))) {
      CLI::ConfigItem item;
      item.parents = setting.tables;  // a table is a subcommand
      item.name = setting.key;
      item.inputs = setting.values;
      result.push_back(std::move(item));
    }
    return result;
  }
};

}  // namespace

struct Tool::State {
  std::string name;
  std::unique_ptr<CLI::App> owned;  ///< null in a subcommand
  CLI::App* app = nullptr;
  Common common;
  Common* shared = nullptr;  ///< a subcommand writes into its tool's
  State* parent = nullptr;   ///< of a subcommand: its tool
  std::string group = "Options";
  CLI::Option* last = nullptr;
  std::vector<std::string> examples;
  std::vector<std::unique_ptr<Tool>> subcommands;
  std::vector<std::pair<CLI::App*, std::function<void()>>> bodies;
  std::string progress = "auto", shard;
  bool quiet = false, verbose = false;
  std::vector<std::string> instead_of_inputs;  ///< flags that make input unnecessary
  bool has_inputs = false, has_binary_output = false;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();

  template <class T>
  CLI::Option* add(const std::string& flags, T& value, const std::string& help) {
    last = app->add_option(flags, value, help)->capture_default_str()->group(group);
    return last;
  }

  /// A number is read by our own strict parser, not by CLI11's, which takes 010 for 8 in one version and 10
  /// in another.
  template <class T>
  CLI::Option* add_number(const std::string& flags, T& value, const std::string& help,
                          const std::string& in_group) {
    const auto set = [flags, &value](const std::string& text) {
      const auto number = parse_number<T>(text);
      if (!number) throw CLI::ValidationError(flags, in_quotes(text) + number_hint<T>());
      value = *number;
    };
    last = app->add_option_function<std::string>(flags, set, help)->default_str(str(value))->group(in_group);
    return last->type_name(std::is_floating_point_v<T> ? "X" : "N");
  }
};

Tool::Tool(std::unique_ptr<State> state) : state_(std::move(state)) {}

Tool::Tool(std::string name, std::string summary) : state_(std::make_unique<State>()) {
  auto& s = *state_;
  s.name = std::move(name);
  s.owned = std::make_unique<CLI::App>(std::move(summary), s.name);
  s.app = s.owned.get();
  s.shared = &s.common;
  s.app->set_version_flag("--version", [this] { return version_text(state_->name); });
  s.app->set_config("--config", "", "read options from a TOML file (flags win; an unknown key is an error)");
  s.app->config_formatter(std::make_shared<TomlConfig>());
  s.app->allow_config_extras(CLI::config_extras_mode::error);
  s.app->add_option("--progress", s.progress, "progress line on standard error: auto, always, never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str()
      ->group("Common");
  s.app->add_flag("-q,--quiet", s.quiet, "errors and warnings only")->group("Common");
  s.app->add_flag("-v,--verbose", s.verbose, "more messages")->group("Common");
  s.app->get_option("--config")->group("Common");
  s.app->get_option("--version")->group("Common");
  s.app->set_help_flag("-h,--help", "print this help and exit")->group("Common");
}

Tool::~Tool() = default;

Tool& Tool::inputs(const std::string& what) {
  state_->has_inputs = true;
  state_->app->add_option("files", state_->shared->inputs, what)
      ->type_name("FILE")
      ->group("Input and output");
  return *this;
}

Tool& Tool::inputs_unless(std::vector<std::string> flags) {
  state_->instead_of_inputs = std::move(flags);
  return *this;
}

Tool& Tool::output(const std::string& what) {
  state_->app->add_option("-o,--output", state_->shared->output, what)
      ->type_name("FILE")
      ->capture_default_str()
      ->group("Input and output");
  return *this;
}

Tool& Tool::binary_output(const std::string& what) {
  state_->has_binary_output = true;
  state_->app->add_flag("--force", state_->shared->force, "write binary data to a terminal all the same")
      ->group("Input and output");
  return output(what);
}

Tool& Tool::threads() {
  state_
      ->add_number("-j,--threads", state_->shared->threads,
                   "threads; the result never depends on it (default: all)", "Compute")
      ->default_str("")
      ->check(CLI::Range(1, 4096));
  return *this;
}

Tool& Tool::seed() {
  state_->add_number("--seed", state_->shared->seed, "seed of the random numbers", "Compute");
  return *this;
}

Tool& Tool::shard() {
  auto& texts = state_->shared == &state_->common ? *state_ : *state_->parent;
  state_->app
      ->add_option("--shard", texts.shard,
                   "take only part I (from 0) of N of the input files: I/N, or slurm to read the job array's "
                   "variables")
      ->type_name("I/N")
      ->group("Input and output");
  return *this;
}

Tool& Tool::device() {
  state_->app->add_option("--device", state_->shared->device, "auto, cpu, cuda[:N], or emu: GPU kernels run and checked without a GPU")
      ->capture_default_str()
      ->group("Compute");
  return *this;
}

Tool& Tool::stats() {
  state_->app
      ->add_option("--stats", state_->shared->stats_file, "write counts of records, bytes and drops as JSON")
      ->type_name("FILE")
      ->group("Input and output");
  return *this;
}

void Tool::option(const std::string& flags, bool& value, const std::string& help) {
  state_->last = state_->app->add_flag(flags, value, help)->group(state_->group);
}
void Tool::option(const std::string& flags, int& value, const std::string& help) {
  state_->add_number(flags, value, help, state_->group);
}
void Tool::option(const std::string& flags, int64_t& value, const std::string& help) {
  state_->add_number(flags, value, help, state_->group);
}
void Tool::option(const std::string& flags, uint64_t& value, const std::string& help) {
  state_->add_number(flags, value, help, state_->group);
}
void Tool::option(const std::string& flags, double& value, const std::string& help) {
  state_->add_number(flags, value, help, state_->group);
}
void Tool::option(const std::string& flags, std::string& value, const std::string& help) {
  state_->add(flags, value, help);
}
void Tool::option(const std::string& flags, std::vector<std::string>& value, const std::string& help) {
  // One value an occurrence, so that an option before the files does not swallow them.
  state_->add(flags, value, help)->expected(1)->take_all()->delimiter(',')->allow_extra_args(false);
}

void Tool::size_option(const std::string& flags, uint64_t& value, const std::string& help) {
  const auto set = [flags, &value](const std::string& text) {
    const auto size = parse_size(text);
    if (!size) throw CLI::ValidationError(flags, in_quotes(text) + " is no size such as 64MiB or 2G");
    value = *size;
  };
  state_->last = state_->app->add_option_function<std::string>(flags, set, help);
  state_->last->type_name("SIZE")->default_str(str(value))->group(state_->group);
}

void Tool::required() { state_->last->required(); }
void Tool::group(const std::string& name) { state_->group = name; }
void Tool::example(const std::string& command) { state_->examples.push_back(command); }

void Tool::choice_text(const std::string& flags, const std::vector<std::string>& names,
                       const std::string& current, const std::string& help,
                       std::function<void(const std::string&)> set) {
  const std::string listed = join(names, ", ");
  state_->last = state_->app->add_option_function<std::string>(
      flags,
      [=](const std::string& text) {
        if (std::find(names.begin(), names.end(), text) == names.end()) {
          throw CLI::ValidationError(flags, "\"" + text + "\" is none of: " + listed);
        }
        set(text);
      },
      help + ": " + listed);
  state_->last->type_name("NAME")->default_str(current)->group(state_->group);
}

Tool& Tool::subcommand(const std::string& name, const std::string& summary, std::function<void()> body) {
  auto child = std::make_unique<State>();
  child->name = state_->name + " " + name;
  child->app = state_->app->add_subcommand(name, summary);
  child->app->fallthrough();
  child->shared = &state_->common;
  child->parent = state_.get();
  state_->bodies.emplace_back(child->app, std::move(body));
  state_->app->require_subcommand(1);
  state_->subcommands.push_back(std::unique_ptr<Tool>(new Tool(std::move(child))));
  return *state_->subcommands.back();
}

bool Tool::given(const std::string& flag) const {
  const auto* option = state_->app->get_option_no_throw(flag);
  if (option == nullptr && state_->parent != nullptr) option = state_->parent->app->get_option_no_throw(flag);
  return option != nullptr && option->count() > 0;
}

const Common& Tool::common() const { return *state_->shared; }
const std::string& Tool::name() const { return state_->name; }

namespace {

std::string footer(const std::vector<std::string>& examples) {
  std::string text;
  if (!examples.empty()) text += "Examples:\n";
  for (const auto& example : examples) text += "  " + example + "\n";
  return text +
         "\nExit codes: 0 ok, 1 failed, 2 usage or configuration, 75 stopped after a checkpoint (run again).";
}

/// Everything standard output still holds must reach it, or the run has failed.
void close_standard_output() {
  if (std::fflush(stdout) != 0) fail_errno("cannot write", "standard output");
}

}  // namespace

std::optional<int> Tool::parse(int argc, char** argv) {
  auto& s = *state_;
  log::set_name(s.name);
  s.app->footer(footer(s.examples));
  for (const auto& child : s.subcommands) child->state_->app->footer(footer(child->state_->examples));
  try {
    s.app->parse(argc, argv);
  } catch (const CLI::Success& wanted) {  // --help, --version
    const int code = s.app->exit(wanted);
    return std::fflush(stdout) == 0 ? code : kFailed;
  } catch (const CLI::ParseError& error) {
    log::write(str(explain(error.what()), "; see ", s.name, " --help"));
    return kUsage;
  } catch (const Error& error) {  // the configuration file
    log::write(error.what());
    return kUsage;
  }
  if (s.quiet) log::set_level(log::Level::quiet);
  if (s.verbose) log::set_level(log::Level::verbose);
  if (s.progress == "always") progress::set_mode(progress::Mode::always);
  if (s.progress == "never") progress::set_mode(progress::Mode::never);
  if (s.common.threads == 0) s.common.threads = available_threads();
  return std::nullopt;
}

void Tool::check_ends() {
  auto& s = *state_;
  bool wants_input = s.has_inputs, binary = s.has_binary_output;
  for (const auto& child : s.subcommands) {
    if (!child->state_->app->parsed()) continue;
    wants_input |= child->state_->has_inputs;
    binary |= child->state_->has_binary_output;
  }
  bool instead = false;
  for (const auto& flag : s.instead_of_inputs) instead |= given(flag);
  if (!s.shard.empty()) {
    if (s.common.inputs.empty()) fail(Kind::usage, "--shard divides input files: name them");
    s.common.inputs = inputs_of_part(parse_array_part(s.shard), s.common.inputs);
  } else if (s.common.inputs.empty() && wants_input) {
    if (is_terminal(STDIN_FILENO) && !instead) {
      fail(Kind::usage, "no input: name files or pipe data in; see ", s.name, " --help");
    }
    s.common.inputs = {"-"};
  }
  const auto& names = s.common.inputs;
  if (std::find(names.begin(), names.end(), "") != names.end() || s.common.output.empty()) {
    fail(Kind::usage, "an empty file name (an unset variable?); - is standard input or output");
  }
  if (binary && s.common.output == "-" && !s.common.force && is_terminal(STDOUT_FILENO)) {
    fail(Kind::usage, "refusing to write binary data to a terminal; use -o FILE, or pipe to shard-cat");
  }
}

int Tool::run(int argc, char** argv, const std::function<void()>& body) {
  auto& s = *state_;
  // A reader that went away is an error of write() with a message, not a silent death that leaves files
  // behind.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of write() with a message
  remove_temporaries_on_signals();
  if (const auto code = parse(argc, argv)) return *code;
  try {
    check_ends();
    for (const auto& [app, run_body] : s.bodies) {
      if (app->parsed()) run_body();
    }
    if (body) body();
    close_standard_output();
    progress::clear();
    return 0;
  } catch (const Stopped& stopped) {
    if (*stopped.what() != '\0') log::write(stopped.what());
    return kRequeue;
  } catch (const Error& error) {
    log::write(error.what());
    return error.kind() == Kind::usage ? kUsage : kFailed;
  } catch (const std::bad_alloc&) {
    log::write("out of memory: use a smaller batch, --memory, or a larger machine");
    return kFailed;
  } catch (const std::system_error& error) {  // of the file system, or no more threads
    log::write(error.what());
    return kFailed;
  } catch (const std::exception& error) {
    log::write(str("internal error: ", error.what()));
    return kFailed;
  }
}

void Tool::report(const Stats& stats) const {
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - state_->start).count();
  log::info(summary(stats, seconds, peak_memory()));
  const auto& file = state_->shared->stats_file;
  if (!file.empty()) write_file(file, to_json(stats, seconds, peak_memory()).dump(2) + "\n");
}

}  // namespace gristmill::cli
