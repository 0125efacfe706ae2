#include "runtime/neighbours.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/file.hpp"
#include "base/str.hpp"

namespace gristmill::runtime {
namespace {

/// Of /proc/NUMBER/stat: nothing when there is no such process.
struct Stat {
  char state = 0;
  uint64_t start = 0;
};

std::optional<Stat> stat_of(int64_t number) {
  const std::string text = kernel_file(str("/proc/", number, "/stat"));
  const size_t name_end = text.rfind(')');  // the name before it may hold anything
  if (name_end == std::string::npos) return std::nullopt;
  const auto fields = split(strip(std::string_view(text).substr(name_end + 1)), ' ');
  constexpr size_t kStart = 19;  // "starttime", counted from the state
  if (fields.size() <= kStart || fields[0].empty()) return std::nullopt;
  return Stat{fields[0][0], parse_uint(fields[kStart]).value_or(0)};
}

std::string machine_name() {
  const std::string boot(strip(kernel_file("/proc/sys/kernel/random/boot_id")));
  if (!boot.empty()) return boot;
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "";
}

}  // namespace

std::string ProcessId::to_text() const { return str(machine, "\n", numbering, "\n", number, "\n", start); }

ProcessId ProcessId::from_text(std::string_view text) {
  const auto parts = split(text, '\n');
  ProcessId id;
  if (parts.size() != 4) return id;
  id.machine = parts[0];
  id.numbering = parts[1];
  id.number = parse_int(parts[2]).value_or(0);
  id.start = parse_uint(parts[3]).value_or(0);
  return id;
}

ProcessId process_with(int64_t number) {
  ProcessId id;
  id.machine = machine_name();
  std::error_code error;
  id.numbering = std::filesystem::read_symlink("/proc/self/ns/pid", error).string();
  id.number = number;
  if (const auto stat = stat_of(number)) id.start = stat->start;
  return id;
}

ProcessId this_process() { return process_with(::getpid()); }

bool has_ended(const ProcessId& process) {
  static const ProcessId here = this_process();
  if (process.machine != here.machine || process.numbering != here.numbering || here.numbering.empty() ||
      process.number == 0 || process.start == 0)
    return false;
  const auto stat = stat_of(process.number);
  return !stat || stat->start != process.start || stat->state == 'Z' || stat->state == 'X';
}

Neighbours::Neighbours(std::vector<ProcessId> processes, int rank)
    : processes_(std::move(processes)), rank_(rank) {
  const std::string& machine = process(rank).machine;
  count_ = static_cast<int>(std::count_if(processes_.begin(), processes_.end(),
                                          [&](const auto& other) { return other.machine == machine; }));
}

namespace {

std::vector<ProcessId> processes_of(Collective& ranks) {
  std::vector<ProcessId> processes;
  for (const auto& text : gather_texts(ranks, this_process().to_text()))
    processes.push_back(ProcessId::from_text(text));
  return processes;
}

}  // namespace

Neighbours::Neighbours(Collective& ranks) : Neighbours(processes_of(ranks), ranks.rank()) {}

std::optional<int> Neighbours::ended() const {
  for (int p = 0; p < static_cast<int>(processes_.size()); ++p)
    if (p != rank_ && has_ended(process(p))) return p;
  return std::nullopt;
}

}  // namespace gristmill::runtime
