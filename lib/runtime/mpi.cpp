// Open MPI by dlopen, as GPU drivers are: one build serves machines with and without it, a program that no
// launcher started never touches it (linked in, libmpi and its twenty libraries would start with every tool),
// and neither the build nor the tests need its headers. That takes Open MPI's binary interface for granted:
// handles are addresses of exported objects, and libmpi.so.40 is the name of it in Open MPI 2 to 5 (Debian 12
// has 4.1, Debian 13 has 5.0). MPICH has another interface and another name, so it is never loaded by
// mistake.

#include "runtime/mpi.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "runtime/neighbours.hpp"

namespace gristmill::runtime {
namespace {

constexpr const char* kLibrary = "libmpi.so.40";
constexpr size_t kLongestMessage = size_t{1} << 30;  // MPI counts in int
constexpr auto kLongestPause = std::chrono::microseconds(200);
// A launcher ends the ranks that are left when one dies, mostly within a second. Those that wait look
// themselves: some launchers are told not to, and some first ask with SIGTERM, which a trainer answers when
// its step is done, and then wait half a minute.
constexpr auto kBetweenLooks = std::chrono::seconds(1), kLaunchersTime = std::chrono::seconds(5);
constexpr int kTag = 1;
constexpr int kThreadFunneled = 1;

// Handles are pointers to types that only Open MPI knows.
using Handle = void*;
using Status = void;

/// The functions and objects of Open MPI that are used here.
class Library {
 public:
  explicit Library(int64_t launched) {
    // Global: its plug-ins look for its symbols.
    library_ = ::dlopen(kLibrary, RTLD_NOW | RTLD_GLOBAL);
    if (library_ == nullptr) {
      fail(Kind::device, "a launcher started ", launched == 0 ? str("several") : str(launched),
           " ranks, but Open MPI's ", kLibrary,
           " is not here; install the package openmpi-bin and start with its mpirun");
    }
    load(init_thread, "MPI_Init_thread");
    load(finalize, "MPI_Finalize");
    load(end_all, "MPI_Abort");
    load(comm_rank, "MPI_Comm_rank");
    load(comm_size, "MPI_Comm_size");
    load(isend, "MPI_Isend");
    load(irecv, "MPI_Irecv");
    load(testall, "MPI_Testall");
    load(barrier, "MPI_Ibarrier");
    world = object("ompi_mpi_comm_world");
    byte = object("ompi_mpi_byte");
  }

  int (*init_thread)(int*, char***, int, int*) = nullptr;
  int (*finalize)() = nullptr;
  int (*end_all)(Handle, int) = nullptr;
  int (*comm_rank)(Handle, int*) = nullptr;
  int (*comm_size)(Handle, int*) = nullptr;
  int (*isend)(const void*, int, Handle, int, int, Handle, Handle*) = nullptr;
  int (*irecv)(void*, int, Handle, int, int, Handle, Handle*) = nullptr;
  int (*testall)(int, Handle*, int*, Status*) = nullptr;
  int (*barrier)(Handle, Handle*) = nullptr;
  Handle world = nullptr, byte = nullptr;

 private:
  void* object(const char* name) {
    void* found = ::dlsym(library_, name);
    if (found == nullptr) fail(Kind::device, kLibrary, " is not Open MPI's: it lacks ", name);
    return found;
  }
  template <class Function>
  void load(Function& function, const char* name) {
    void* found = object(name);
    static_assert(sizeof(found) == sizeof(function));
    std::memcpy(&function, &found, sizeof found);
  }
  void* library_ = nullptr;  // stays loaded: MPI leaves handlers behind
};

class MpiCollective final : public Collective {
 public:
  explicit MpiCollective(int64_t launched) : mpi_(launched) {
    int provided = 0;
    // Errors of MPI itself end all ranks with its own message: MPI's default, and the only safe one.
    mpi_.init_thread(nullptr, nullptr, kThreadFunneled, &provided);
    mpi_.comm_rank(mpi_.world, &rank_);
    mpi_.comm_size(mpi_.world, &size_);
    if (launched > 0 && size_ != launched) {
      mpi_.finalize();
      fail(Kind::device, "the launcher started ", launched, " ranks, Open MPI sees ", size_,
           "; use Open MPI's mpirun, or srun --mpi=pmix");
    }
    neighbours_.emplace(*this);
  }

  std::string name() const override { return "Open MPI"; }
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int on_this_machine() const override { return neighbours_->count(); }

  void exchange(const Parts& out, const Places& in) override {
    std::vector<Handle> requests;
    for (int p = 0; p < size_; ++p) {
      if (p == rank_) continue;
      each_message(in[static_cast<size_t>(p)], [&](std::byte* data, int count) {
        mpi_.irecv(data, count, mpi_.byte, p, kTag, mpi_.world, &requests.emplace_back());
      });
    }
    // Rank r sends to r + 1 first, so that not all send to rank 0 at once.
    for (int step = 1; step < size_; ++step) {
      const int q = (rank_ + step) % size_;
      each_message(out[static_cast<size_t>(q)], [&](const std::byte* data, int count) {
        mpi_.isend(data, count, mpi_.byte, q, kTag, mpi_.world, &requests.emplace_back());
      });
    }
    const auto me = static_cast<size_t>(rank_);
    if (!out[me].empty()) std::memcpy(in[me].data(), out[me].data(), out[me].size());
    wait(requests, true);
  }

  void leave() override {
    // A barrier that sleeps: MPI_Finalize waits for the others too, but spins.
    std::vector<Handle> requests(1);
    mpi_.barrier(mpi_.world, requests.data());
    wait(requests, false);  // who was here first may be gone already
    mpi_.finalize();
  }

  void end_all(int exit_code) noexcept override { mpi_.end_all(mpi_.world, exit_code); }

 private:
  template <class Span, class Take>
  static void each_message(Span span, const Take& take) {
    for (size_t at = 0; at < span.size(); at += kLongestMessage)
      take(span.data() + at, static_cast<int>(std::min(kLongestMessage, span.size() - at)));
  }

  /// Looks often at first, then sleeps between looks: MPI_Wait would keep a core busy that another rank may
  /// need. Error{device} when a rank of this machine that is `needed` has ended.
  void wait(std::vector<Handle>& requests, bool needed) {
    using Clock = std::chrono::steady_clock;
    auto pause = std::chrono::microseconds(0);
    auto next_look = Clock::now() + kBetweenLooks;
    std::optional<Clock::time_point> seen_gone;
    for (int looks = 1, done = 0;; ++looks) {
      mpi_.testall(static_cast<int>(requests.size()), requests.data(), &done, nullptr);
      if (done != 0) return;
      if (looks % 64 == 0) pause = std::min(pause + std::chrono::microseconds(10), kLongestPause);
      if (pause.count() == 0) {
        std::this_thread::yield();
      } else {
        std::this_thread::sleep_for(pause);
      }
      if (!needed || looks % 64 != 0 || Clock::now() < next_look) continue;
      next_look = Clock::now() + kBetweenLooks;
      const auto ended = neighbours_ ? neighbours_->ended() : std::nullopt;
      if (!ended) continue;
      if (!seen_gone) seen_gone = Clock::now();
      if (Clock::now() - *seen_gone < kLaunchersTime) continue;
      fail(Kind::device, "rank ", *ended, " (process ", neighbours_->process(*ended).number,
           ") is gone; go on from the last checkpoint, if there is one, with --resume");
    }
  }

  Library mpi_;
  int rank_ = 0, size_ = 1;
  std::optional<Neighbours> neighbours_;
};

}  // namespace

std::unique_ptr<Collective> open_mpi_collective(const Launch& launch) {
  // Open MPI takes its ranks from PMIx alone. Without it every process would take itself for the only one, or
  // end with a page about how Open MPI was built.
  if (!launch.joins_mpi) {
    fail(Kind::device, "a launcher started ", launch.ranks == 0 ? str("several") : str(launch.ranks),
         " ranks (", launch.by,
         "), but in a way that Open MPI cannot join; start with Open MPI's mpirun, or srun --mpi=pmix, or "
         "name "
         "a file that all ranks see with --rendezvous");
  }
  return std::make_unique<MpiCollective>(launch.ranks);
}

}  // namespace gristmill::runtime
