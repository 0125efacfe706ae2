#pragma once

// NVIDIA's collective communications library as a table of functions: filled from libnccl.so.2 where it is
// installed, or by the emulated GPU. Declared here by ourselves, as the driver's (cuda/driver/driver.hpp):
// nothing links it, and ranks train without it by way of the host's memory. Names, arguments and meanings are
// those of NVIDIA's "NCCL API" reference, without the prefix; every function that returns an NcclResult
// returns 0 or an error code.

#include <cstddef>
#include <string>

#include "cuda/driver/driver.hpp"

namespace gristmill::runtime::cuda {

using NcclResult = int;
struct CommunicatorObject;
using Communicator = CommunicatorObject*;

/// What the ranks of a communicator have in common before there is one; opaque.
struct NcclId {
  char bytes[128];
};

constexpr NcclResult kNcclSuccess = 0, kNcclInProgress = 7;
// Types, by ncclDataType_t's numbers; the sum by ncclRedOp_t's.
constexpr int kNcclBytes = 1, kNcclFloat32 = 7, kNcclSum = 0;

struct Nccl {
  std::string library;  ///< where the functions come from, for messages

  NcclResult (*version)(int* version) = nullptr;
  const char* (*error_string)(NcclResult result) = nullptr;
  /// What was said last on this process's errors; null with versions before 2.13.
  const char* (*last_error)(Communicator communicator) = nullptr;

  NcclResult (*unique_id)(NcclId* id) = nullptr;
  /// Returns when all ranks have come.
  NcclResult (*init_rank)(Communicator* communicator, int ranks, NcclId id, int rank) = nullptr;
  NcclResult (*destroy)(Communicator communicator) = nullptr;
  /// Ends what is under way, in error; also from another thread.
  NcclResult (*abort)(Communicator communicator) = nullptr;
  NcclResult (*async_error)(Communicator communicator, NcclResult* error) = nullptr;

  /// What is called between these two is one piece of work, whose parts go on together.
  NcclResult (*group_start)() = nullptr;
  NcclResult (*group_end)() = nullptr;
  NcclResult (*send)(const void* from, size_t count, int type, int peer, Communicator communicator,
                     Stream stream) = nullptr;
  NcclResult (*receive)(void* to, size_t count, int type, int peer, Communicator communicator,
                        Stream stream) = nullptr;
  NcclResult (*reduce_scatter)(const void* from, void* to, size_t count_each, int type, int operation,
                               Communicator communicator, Stream stream) = nullptr;
  NcclResult (*reduce)(const void* from, void* to, size_t count, int type, int operation, int root,
                       Communicator communicator, Stream stream) = nullptr;
  NcclResult (*all_gather)(const void* from, void* to, size_t count_each, int type, Communicator communicator,
                           Stream stream) = nullptr;
  NcclResult (*broadcast)(const void* from, void* to, size_t count, int type, int root,
                          Communicator communicator, Stream stream) = nullptr;
};

/// The library if it can be used, and if not why, in one line that says what to install.
struct FoundNccl {
  const Nccl* functions = nullptr;
  std::string absence;
};

/// Loaded at the first call and never unloaded.
FoundNccl find_nccl(const char* library = "libnccl.so.2");

/// Throws Error{device} that names the result and `what` was being done, unless `result` is kNcclSuccess.
void check(const Nccl& nccl, NcclResult result, const std::string& what);

}  // namespace gristmill::runtime::cuda
