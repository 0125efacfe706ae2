#pragma once

// Ranks: processes that train one model together, each on its own part of the data.
//
// A sum over ranks is ordered: each element is ((r0 + r1) + r2) + … in the device's precision, as one process
// adds what it computes one after another, so that the number of ranks does not change a bit. That rules out
// MPI_SUM, whose order is the library's: the parts travel to the rank that owns the sum, which adds them
// itself (arena_exchange.hpp).

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/device.hpp"
#include "runtime/launch.hpp"

namespace gristmill::runtime {

/// Elements [first, first + size) of a flat arena.
struct Range {
  int64_t first = 0, size = 0;
  int64_t end() const { return first + size; }
};

class Collective {
 public:
  using Parts = std::vector<std::span<const std::byte>>;
  using Places = std::vector<std::span<std::byte>>;

  virtual ~Collective() = default;
  virtual std::string name() const = 0;  ///< "local", "Open MPI", for people
  virtual int rank() const = 0;          ///< 0 … size() - 1
  virtual int size() const = 0;
  /// Ranks that share this machine and its memory, this one among them.
  virtual int on_this_machine() const { return size(); }
  /// Sends out[q] to each rank q and fills in[p] with what rank p sends here. All ranks call it together;
  /// lengths agree pairwise, empty = nothing. Error{device} when a rank was seen to be gone.
  virtual void exchange(const Parts& out, const Places& in) = 0;
  /// The last call of a rank that came to its end in order: waits for the others.
  virtual void leave() {}
  /// Ends the processes of all other ranks at once, and perhaps this one: after an error of its own.
  virtual void end_all(int exit_code) noexcept = 0;
};

/// One rank: nothing is ever sent.
std::unique_ptr<Collective> open_local_collective();

struct CollectiveOptions {
  std::string device = "cpu";  ///< as open_device()'s
  std::string rendezvous;      ///< a file by which ranks of GPUs find each other without MPI; empty = MPI
  double rendezvous_seconds = 300;  ///< how long to wait for them
};

/// The ranks that a launcher (launch.hpp) started this process with; one local rank when it was started
/// alone. With a file of rendezvous they talk by NCCL between their GPUs, else by Open MPI. Error{device}
/// when there are several and that is not installed or is not the launcher's, Error{usage} for a rendezvous
/// without GPUs or launcher.
std::unique_ptr<Collective> open_collective(const CollectiveOptions& options = {});

// --- on top of exchange(); all ranks call these together
// ---------------------------------------------------------------------------------------------------------

/// All ranks' values (they may differ in number) behind each other in the order of ranks.
std::vector<double> gather_values(Collective& ranks, std::span<const double> mine);
/// Rank r's text at [r].
std::vector<std::string> gather_texts(Collective& ranks, const std::string& mine);

/// A tensor whose parts lie behind each other on the ranks, put together on rank 0 (empty elsewhere): `mine`
/// is 1 × sizes[me], absent where that is 0. `Real` is the host's float or double for device.real().
template <class Real>
std::vector<Real> collect(Collective& ranks, Device& device, ConstView mine, std::span<const int64_t> sizes);

}  // namespace gristmill::runtime
