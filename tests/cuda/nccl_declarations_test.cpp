// Our declarations of NCCL against those of its header, where it is installed: numbers, and how its functions
// are called; and their names against the library.

#if __has_include(<nccl.h>) && __has_include(<cuda_runtime.h>)

#include <nccl.h>

#include "called_alike.hpp"
#include "cuda/nccl/nccl.hpp"
#include "support/catch.hpp"

namespace {

namespace ours = gristmill::runtime::cuda;
using gristmill::runtime::test::kCalledAlike;
using ours::Nccl;

static_assert(ours::kNcclSuccess == ncclSuccess && ours::kNcclInProgress == ncclInProgress);
static_assert(ours::kNcclBytes == ncclUint8 && ours::kNcclFloat32 == ncclFloat32);
static_assert(ours::kNcclSum == ncclSum);
static_assert(sizeof(ours::NcclId) == sizeof(ncclUniqueId) && sizeof(ours::NcclId) == NCCL_UNIQUE_ID_BYTES);

static_assert(kCalledAlike<decltype(Nccl::version), decltype(&ncclGetVersion)>);
static_assert(kCalledAlike<decltype(Nccl::error_string), decltype(&ncclGetErrorString)>);
static_assert(kCalledAlike<decltype(Nccl::last_error), decltype(&ncclGetLastError)>);
static_assert(kCalledAlike<decltype(Nccl::unique_id), decltype(&ncclGetUniqueId)>);
static_assert(kCalledAlike<decltype(Nccl::init_rank), decltype(&ncclCommInitRank)>);
static_assert(kCalledAlike<decltype(Nccl::destroy), decltype(&ncclCommDestroy)>);
static_assert(kCalledAlike<decltype(Nccl::abort), decltype(&ncclCommAbort)>);
static_assert(kCalledAlike<decltype(Nccl::async_error), decltype(&ncclCommGetAsyncError)>);
static_assert(kCalledAlike<decltype(Nccl::group_start), decltype(&ncclGroupStart)>);
static_assert(kCalledAlike<decltype(Nccl::group_end), decltype(&ncclGroupEnd)>);
static_assert(kCalledAlike<decltype(Nccl::send), decltype(&ncclSend)>);
static_assert(kCalledAlike<decltype(Nccl::receive), decltype(&ncclRecv)>);
static_assert(kCalledAlike<decltype(Nccl::reduce_scatter), decltype(&ncclReduceScatter)>);
static_assert(kCalledAlike<decltype(Nccl::reduce), decltype(&ncclReduce)>);
static_assert(kCalledAlike<decltype(Nccl::all_gather), decltype(&ncclAllGather)>);
static_assert(kCalledAlike<decltype(Nccl::broadcast), decltype(&ncclBroadcast)>);

}  // namespace

TEST_CASE("the library of NCCL's header has all functions that we call", "[cuda]") {
  const ours::FoundNccl found = ours::find_nccl();
  CAPTURE(found.absence);
  CHECK((found.functions != nullptr || found.absence.find("cannot open") != std::string::npos));
}

#endif
