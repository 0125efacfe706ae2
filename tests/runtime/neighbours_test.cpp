#include "runtime/neighbours.hpp"

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "support/catch.hpp"
#include "support/thread_ranks.hpp"

using namespace gristmill;
using namespace gristmill::runtime;

namespace {

/// A process that waits until it is killed.
class Sleeper {
 public:
  Sleeper() : number_(::fork()) {
    if (number_ != 0) return;
    for (;;) ::pause();
  }
  ~Sleeper() {
    if (number_ > 0) kill();
  }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;
  void kill() {
    ::kill(number_, SIGKILL);
    ::waitpid(number_, nullptr, 0);
    number_ = 0;
  }
  /// Kills it and waits for its end, but leaves it to be collected.
  void kill_only() const {
    ::kill(number_, SIGKILL);
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(number_), &info, WEXITED | WNOWAIT);
  }
  int64_t number() const { return number_; }

 private:
  pid_t number_;
};

}  // namespace

TEST_CASE("a process is told from others by machine, number and time of its start", "[runtime]") {
  const ProcessId me = this_process();
  CHECK_FALSE(me.machine.empty());
  CHECK(me.number == ::getpid());
  CHECK(me.start > 0);
  CHECK_FALSE(has_ended(me));
  const ProcessId back = ProcessId::from_text(me.to_text());
  CHECK(back.machine == me.machine);
  CHECK(back.numbering == me.numbering);
  CHECK(back.number == me.number);
  CHECK(back.start == me.start);
  CHECK(ProcessId::from_text("").number == 0);
  ProcessId other = me;  // the number given anew to a later process
  other.start += 1;
  CHECK(has_ended(other));
}

TEST_CASE("a killed process is seen to be gone, collected or not; one that cannot be looked for is not",
          "[runtime]") {
  Sleeper sleeper;
  const ProcessId id = process_with(sleeper.number());
  REQUIRE(id.start > 0);
  CHECK_FALSE(has_ended(id));
  sleeper.kill_only();
  CHECK(has_ended(id));
  sleeper.kill();
  CHECK(has_ended(id));
  ProcessId elsewhere = id;
  elsewhere.machine = "another";
  CHECK_FALSE(has_ended(elsewhere));
  elsewhere = id;
  elsewhere.numbering = "pid:[1]";
  CHECK_FALSE(has_ended(elsewhere));
  elsewhere = id;
  elsewhere.start = 0;
  CHECK_FALSE(has_ended(elsewhere));
}

TEST_CASE("ranks on one machine are counted, and the one that ended is named", "[runtime]") {
  const ProcessId me = this_process();
  ProcessId far = me, dead = me;
  far.machine = "another";
  dead.start += 1;
  CHECK(Neighbours({me, far, me}, 0).count() == 2);
  CHECK(Neighbours({me, far, me}, 1).count() == 1);
  CHECK_FALSE(Neighbours({me, far, me}, 0).ended().has_value());
  CHECK(Neighbours({me, far, dead}, 0).ended() == 2);
  std::vector<int> counts(3);
  gristmill::test::run_ranks(
      3, [&](Collective& ranks) { counts[static_cast<size_t>(ranks.rank())] = Neighbours(ranks).count(); });
  CHECK(counts == std::vector<int>{3, 3, 3});
}
