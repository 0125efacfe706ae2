#include "runtime/rendezvous.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "runtime/neighbours.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
namespace fs = std::filesystem;

namespace {

struct Folder {
  Folder() : path(fs::temp_directory_path() / str("gristmill-rendezvous-", ::getpid())) {
    fs::remove_all(path);
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
  std::string file() const { return (path / "meet").string(); }
  size_t files() const { return static_cast<size_t>(std::distance(fs::directory_iterator(path), {})); }
  fs::path path;
};

/// What each rank heard, or how its error begins with "!".
std::vector<std::string> heard_by(const std::vector<Meeting>& meetings) {
  std::vector<std::string> heard(meetings.size());
  std::vector<std::thread> threads;
  for (size_t rank = 0; rank < meetings.size(); ++rank) {
    threads.emplace_back([&, rank] {
      // Late ones and early ones: rank 0 is neither the first nor the last.
      std::this_thread::sleep_for(std::chrono::milliseconds(30 * ((rank + 1) % meetings.size())));
      try {
        heard[rank] = meet_by_file(meetings[rank], rank == 0 ? "the id" : "");
      } catch (const Error& error) {
        heard[rank] = str(error.kind() == Kind::usage ? "!usage " : "!", error.what());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  return heard;
}

/// A note as a process that is gone has left it; whose name is another's.
void leave_behind(const std::string& file, const std::string& name, const std::vector<std::string>& names) {
  Json note = Json::object();
  note["run"] = "r";
  note["name"] = name;
  note["ranks"] = 2;
  note["message"] = "a stale id";
  note["for"] = Json::array();
  for (const auto& other : names) note["for"].push_back(other);
  write_file(file, note.dump());
}

/// A name as a process of this machine has it that has ended, and one of a machine that nobody can ask.
std::string name_of_ended() {
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  const std::string name = process_with(child).to_text() + "\n1";
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  return name;
}
const std::string kElsewhere = "another machine\npid:[1]\n12\n34\n1";

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("ranks find each other by a file, and leave nothing behind", "[runtime]") {
  const Folder folder;
  for (const int ranks : {1, 2, 4}) {
    std::vector<Meeting> meetings;
    for (int rank = 0; rank < ranks; ++rank) meetings.push_back({folder.file(), "r", rank, ranks, 20});
    CHECK(heard_by(meetings) == std::vector<std::string>(static_cast<size_t>(ranks), "the id"));
    CHECK(folder.files() == 0);
  }
}

TEST_CASE("what an earlier run left behind is not taken for this one's", "[runtime]") {
  const Folder folder;
  for (const std::string& name : {name_of_ended(), kElsewhere}) {
    leave_behind(folder.file(), name, {name, name});
    leave_behind(folder.file() + ".1", name, {});
    CHECK(heard_by({{folder.file(), "r", 0, 2, 20}, {folder.file(), "r", 1, 2, 20}}) ==
          std::vector<std::string>(2, "the id"));
    CHECK(folder.files() == 0);
  }
  for (const char* content : {"", "{", "[1]", "{\"run\":1}", "\xff\xfe"}) {
    write_file(folder.file(), content);
    write_file(folder.file() + ".1", content);
    CHECK(heard_by({{folder.file(), "", 0, 2, 20}, {folder.file(), "", 1, 2, 20}}) ==
          std::vector<std::string>(2, "the id"));
  }
}

TEST_CASE("a rank that does not come is named when the time is over", "[runtime]") {
  const Folder folder;
  CHECK(
      contains(heard_by({{folder.file(), "r", 0, 3, 0.3}})[0], "rank 0 of 3 waited 0 s in vain for rank 1"));
  const auto one = heard_by({{folder.file(), "r", 1, 2, 0.2}});
  CHECK(contains(one[0], "!--rendezvous"));
  CHECK(contains(one[0], "rank 1 of 2 waited 0 s in vain for rank 0"));
  CHECK(folder.files() == 0);
  CHECK(contains(heard_by({{(folder.path / "absent" / "f").string(), "r", 0, 2, 0.3}})[0], "absent"));
}

TEST_CASE("ranks that were told of other numbers, or are of another run, say so soon", "[runtime]") {
  const Folder folder;
  const auto begin = std::chrono::steady_clock::now();
  const auto sizes = heard_by({{folder.file(), "r", 0, 2, 60}, {folder.file(), "r", 1, 3, 60}});
  CHECK(contains(sizes[0], "!usage"));
  CHECK(contains(sizes[0], "rank 1 was told of 3 ranks, rank 0 of 2"));
  CHECK(contains(sizes[1], "rank 0 was told of 2 ranks, rank 1 of 3"));
  const auto runs = heard_by({{folder.file(), "job 1", 0, 2, 60}, {folder.file(), "job 2", 1, 2, 60}});
  CHECK(contains(runs[0], "another run"));
  CHECK(contains(runs[1], "another run"));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(20));
  CHECK(folder.files() == 0);
}
