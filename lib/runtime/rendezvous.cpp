#include "runtime/rendezvous.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/hash.hpp"
#include "base/json.hpp"
#include "base/str.hpp"
#include "runtime/neighbours.hpp"

namespace gristmill::runtime {

namespace {

using Clock = std::chrono::steady_clock;
namespace fs = std::filesystem;

constexpr uint64_t kLongestFile = 4 << 20;
constexpr auto kShortestPause = std::chrono::milliseconds(10), kLongestPause = std::chrono::milliseconds(200);
// A rank that sees another one that cannot be of its run stays for a while, so that the other sees it too.
constexpr auto kUntilSeen = std::chrono::seconds(1);

std::string own_name() {
  static std::atomic<int> count = 0;
  return str(this_process().to_text(), "\n", ++count);
}

/// What a rank has written; nothing while there is no file, or none that can be read.
struct Note {
  std::string run, name, message;
  int64_t ranks = 0;
  std::vector<std::string> names;  ///< that the message is for
};

std::optional<Note> read_note(const std::string& file) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return std::nullopt;
  try {
    const Json json = read_json_file(file, kLongestFile);
    Note note{json.at("run").as_string(), json.at("name").as_string(), "", json.at("ranks").as_int(), {}};
    if (const Json* message = json.find("message")) note.message = message->as_string();
    if (const Json* names = json.find("for"))
      for (const Json& name : names->as_array()) note.names.push_back(name.as_string());
    return note;
  } catch (const Error&) {
    return std::nullopt;  // taken away at this moment, or no note at all
  }
}

void write_note(const std::string& file, const Note& note) {
  Json json = Json::object();
  json["run"] = note.run;
  json["name"] = note.name;
  json["ranks"] = note.ranks;
  json["message"] = note.message;
  json["for"] = Json::array();
  for (const auto& name : note.names) json["for"].push_back(name);
  write_file(file, json.dump() + "\n");
}

/// The process of a name: all but its last line.
ProcessId process_of(const std::string& name) {
  return ProcessId::from_text(name.substr(0, name.rfind('\n')));
}

class Rendezvous {
 public:
  explicit Rendezvous(const Meeting& meeting)
      : meeting_(meeting),
        name_(own_name()),
        until_(Clock::now() + std::chrono::milliseconds(std::llround(meeting.seconds * 1000))) {}

  std::string lead(const std::string& message) {
    const auto count = static_cast<size_t>(meeting_.ranks);
    std::vector<std::string> names(count), published;
    names[0] = name_;
    write_note(meeting_.file, note("", {}));
    const auto first_missing = [&] { return std::find(names.begin(), names.end(), "") - names.begin(); };
    while (true) {
      bool all_taken = !published.empty();
      for (size_t rank = 1; rank < count; ++rank) {
        const auto theirs = read_note(file_of(rank));
        if (!theirs) continue;  // not there yet, or it has taken the message
        all_taken = false;
        if (fits(*theirs, static_cast<int>(rank))) names[rank] = theirs->name;
      }
      if (all_taken) break;
      if (first_missing() == meeting_.ranks && names != published) {
        write_note(meeting_.file, note(message, names));
        published = names;
      }
      pause(published.empty() ? str("rank ", first_missing()) : str("all ranks to read it"));
    }
    remove(meeting_.file);
    return message;
  }

  std::string follow() {
    const auto me = static_cast<size_t>(meeting_.rank);
    write_note(file_of(me), note("", {}));
    while (true) {
      const auto first = read_note(meeting_.file);
      if (first && fits(*first, 0) && me < first->names.size() && first->names[me] == name_) {
        remove(file_of(me));
        return first->message;
      }
      pause("rank 0");
    }
  }

  /// What this rank has written is of no use any more.
  void leave() noexcept {
    remove(meeting_.rank == 0 ? meeting_.file : file_of(static_cast<size_t>(meeting_.rank)));
  }

 private:
  std::string file_of(size_t rank) const { return str(meeting_.file, ".", rank); }
  Note note(const std::string& message, const std::vector<std::string>& names) const {
    return {meeting_.run, name_, message, meeting_.ranks, names};
  }
  static void remove(const std::string& file) noexcept { ::unlink(file.c_str()); }

  /// Whether a note is of this run. Of a process that runs on this machine it is no old one: then it is told
  /// apart at once, else when the time is over.
  bool fits(const Note& theirs, int rank) {
    const ProcessId process = process_of(theirs.name), mine = process_of(name_);
    if (has_ended(process)) return false;
    if (theirs.ranks == meeting_.ranks && theirs.run == meeting_.run) return true;
    otherwise_ = theirs.ranks != meeting_.ranks
                     ? str("rank ", rank, " was told of ", theirs.ranks, " ranks, rank ", meeting_.rank,
                           " of ", meeting_.ranks)
                     : str("rank ", rank, " is of another run (", in_quotes(theirs.run), ") than rank ",
                           meeting_.rank, " (", in_quotes(meeting_.run), ")");
    if (process.machine != mine.machine || process.numbering != mine.numbering) return false;
    if (!since_) since_ = Clock::now();
    return false;
  }

  void pause(const std::string& whom) {
    if (since_ && Clock::now() - *since_ > kUntilSeen)
      fail(Kind::usage, "--rendezvous ", meeting_.file, ": ", otherwise_);
    if (Clock::now() >= until_) {
      fail(Kind::device, "--rendezvous ", meeting_.file, ": rank ", meeting_.rank, " of ", meeting_.ranks,
           " waited ", format_fixed(meeting_.seconds, 0), " s in vain for ", whom,
           otherwise_.empty() ? "" : str("; ", otherwise_),
           "; all ranks must see this file (--rendezvous-seconds waits longer)");
    }
    std::this_thread::sleep_for(pause_);
    pause_ = std::min(pause_ + kShortestPause, std::chrono::milliseconds(kLongestPause));
  }

  const Meeting& meeting_;
  const std::string name_;
  const Clock::time_point until_;
  std::chrono::milliseconds pause_ = kShortestPause;
  std::string otherwise_;                   ///< what was seen of another run
  std::optional<Clock::time_point> since_;  ///< of a process that runs on this machine
};

}  // namespace

std::string meet_by_file(const Meeting& meeting, const std::string& message) {
  if (meeting.ranks == 1) return message;
  Rendezvous rendezvous(meeting);
  try {
    return meeting.rank == 0 ? rendezvous.lead(message) : rendezvous.follow();
  } catch (...) {
    rendezvous.leave();
    throw;
  }
}

}  // namespace gristmill::runtime
