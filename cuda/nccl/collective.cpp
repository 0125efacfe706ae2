// Ranks that have no other way to each other than NCCL: what the host has to say travels through the memory
// of the GPUs. Its messages are few and short, but for the parts of a checkpoint, which go in pieces.

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/str.hpp"
#include "cuda/gpu.hpp"
#include "cuda/nccl/nccl.hpp"
#include "cuda/nccl/rank.hpp"
#include "emulator/driver/emulated_driver.hpp"
#include "emulator/nccl/emulated_nccl.hpp"
#include "runtime/cuda.hpp"
#include "runtime/neighbours.hpp"

namespace gristmill::runtime {

namespace cuda {
namespace {

constexpr size_t kStagingBytes = size_t{16} << 20;  // each way, for all ranks together
constexpr size_t kLeastPiece = size_t{64} << 10;

size_t index(int value) { return static_cast<size_t>(value); }

class NcclCollective final : public Collective {
 public:
  NcclCollective(const Driver& driver, int ordinal, const Nccl& nccl, const Meeting& meeting)
      : name_(str("NCCL of ", nccl.library)),
        rank_(meeting.rank),
        size_(meeting.ranks),
        piece_(std::max(kLeastPiece, kStagingBytes / index(size_ - 1))),
        gpu_(driver, ordinal, false) {
    const std::string id = meet_by_file(meeting, rank_ == 0 ? to_text(new_id(nccl)) : "");
    nccl_.emplace(nccl, gpu_, id_of(id), rank_, size_);
    out_ = static_cast<std::byte*>(gpu_.allocate(piece_ * index(size_)));
    in_ = static_cast<std::byte*>(gpu_.allocate(piece_ * index(size_)));
    neighbours_.emplace(*this);
  }
  ~NcclCollective() override {
    nccl_.reset();
    try {
      gpu_.release(out_);
      gpu_.release(in_);
    } catch (const Error&) {
      return;  // the GPU was lost before, and whoever waited for it knows
    }
  }

  std::string name() const override { return name_; }
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int on_this_machine() const override { return neighbours_->count(); }
  void exchange(const Parts& out, const Places& in) override;
  void leave() override { gather_values(*this, {}); }
  void end_all(int) noexcept override { nccl_->give_up(); }

 private:
  template <class Spans>
  static size_t longest(const Spans& spans) {
    size_t bytes = 0;
    for (const auto& span : spans) bytes = std::max(bytes, span.size());
    return bytes;
  }
  template <class Span>
  Span piece(const Span& span, size_t first) const {
    return span.subspan(std::min(first, span.size()),
                        std::min(piece_, span.size() - std::min(first, span.size())));
  }
  void exchange_pieces(const Parts& out, const Places& in, size_t first);

  const std::string name_;
  const int rank_, size_;
  const size_t piece_;  ///< bytes to and from each rank at once
  Gpu gpu_;
  std::optional<NcclRank> nccl_;
  std::byte *out_ = nullptr, *in_ = nullptr;
  std::optional<Neighbours> neighbours_;
};

void NcclCollective::exchange(const Parts& out, const Places& in) {
  const auto me = index(rank_);
  if (!out[me].empty()) std::memcpy(in[me].data(), out[me].data(), out[me].size());
  // Two ranks agree on the length of what goes between them, and so on the number of its pieces.
  const size_t all = std::max(longest(out), longest(in));
  for (size_t first = 0; first < all; first += piece_) exchange_pieces(out, in, first);
}

void NcclCollective::exchange_pieces(const Parts& out, const Places& in, size_t first) {
  for (int q = 0; q < size_; ++q) {
    const auto part = piece(out[index(q)], first);
    if (q != rank_ && !part.empty()) gpu_.write(out_ + piece_ * index(q), part.data(), part.size());
  }
  nccl_->begin("talking to the other ranks");
  nccl_->group([&] {
    for (int turn = 1; turn < size_; ++turn) {
      const int to = (rank_ + turn) % size_, from = (rank_ + size_ - turn) % size_;
      const size_t sent = piece(out[index(to)], first).size(),
                   received = piece(in[index(from)], first).size();
      const Communicator communicator = nccl_->communicator();
      if (sent > 0) {
        nccl_->expect(nccl_->nccl().send(out_ + piece_ * index(to), sent, kNcclBytes, to, communicator,
                                         nccl_->stream()),
                      "talking to the other ranks");
      }
      if (received > 0) {
        nccl_->expect(nccl_->nccl().receive(in_ + piece_ * index(from), received, kNcclBytes, from,
                                            communicator, nccl_->stream()),
                      "talking to the other ranks");
      }
    }
  });
  nccl_->join();
  for (int p = 0; p < size_; ++p) {
    const auto place = piece(in[index(p)], first);
    if (p != rank_ && !place.empty()) gpu_.read(place.data(), in_ + piece_ * index(p), place.size());
  }
  gpu_.synchronize();
}

}  // namespace
}  // namespace cuda

std::unique_ptr<Collective> open_gpu_collective(std::optional<int> ordinal, const Meeting& meeting) {
  if (!ordinal) {
    return std::make_unique<cuda::NcclCollective>(emulator::emulated_driver(), emulator::add_gpu({}),
                                                  emulator::emulated_nccl(), meeting);
  }
  const cuda::Driver& driver = cuda::load_driver();
  const cuda::FoundNccl found = cuda::find_nccl();
  if (found.functions == nullptr) fail(Kind::device, "--rendezvous: ", found.absence);
  return std::make_unique<cuda::NcclCollective>(driver, *ordinal, *found.functions, meeting);
}

}  // namespace gristmill::runtime
