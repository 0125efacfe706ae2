#include "runtime/collective.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/error.hpp"
#include "base/str.hpp"
#include "runtime/mpi.hpp"
#include "runtime/open.hpp"

namespace gristmill::runtime {
namespace {

constexpr uint64_t kLongestText = 1 << 20;

class LocalCollective final : public Collective {
 public:
  std::string name() const override { return "local"; }
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void exchange(const Parts& out, const Places& in) override {
    if (!out[0].empty()) std::memcpy(in[0].data(), out[0].data(), out[0].size());
  }
  void end_all(int) noexcept override {}
};

size_t index(int64_t value) { return static_cast<size_t>(value); }

/// A message of one fixed-size value to and from each rank.
std::vector<uint64_t> exchange_counts(Collective& ranks, uint64_t mine) {
  std::vector<uint64_t> counts(index(ranks.size()));
  const Collective::Parts out(counts.size(), std::as_bytes(std::span(&mine, 1)));
  Collective::Places in;
  for (auto& count : counts) in.push_back(std::as_writable_bytes(std::span(&count, 1)));
  ranks.exchange(out, in);
  return counts;
}

}  // namespace

std::unique_ptr<Collective> open_local_collective() { return std::make_unique<LocalCollective>(); }

std::unique_ptr<Collective> open_collective(const CollectiveOptions& options) {
  const auto launch = find_launch();
  if (!options.rendezvous.empty()) return open_rendezvous_collective(launch, options);
  if (!launch || launch->ranks == 1) return open_local_collective();
  return open_mpi_collective(*launch);
}

std::vector<double> gather_values(Collective& ranks, std::span<const double> mine) {
  const auto counts = exchange_counts(ranks, mine.size());
  uint64_t total = 0;
  for (const uint64_t count : counts) total += count;
  std::vector<double> all(total);
  const Collective::Parts out(counts.size(), std::as_bytes(mine));
  Collective::Places in;
  uint64_t at = 0;
  for (const uint64_t count : counts) {
    in.push_back(std::as_writable_bytes(std::span(all).subspan(at, count)));
    at += count;
  }
  ranks.exchange(out, in);
  return all;
}

std::vector<std::string> gather_texts(Collective& ranks, const std::string& mine) {
  const std::string text = mine.substr(0, kLongestText);
  const auto counts = exchange_counts(ranks, text.size());
  std::vector<std::string> texts;
  for (const uint64_t count : counts) texts.emplace_back(std::min(count, kLongestText), '\0');
  const Collective::Parts out(counts.size(), std::as_bytes(std::span(text)));
  Collective::Places in;
  for (auto& place : texts) in.push_back(std::as_writable_bytes(std::span(place)));
  ranks.exchange(out, in);
  return texts;
}

template <class Real>
std::vector<Real> collect(Collective& ranks, Device& device, ConstView mine, std::span<const int64_t> sizes) {
  const auto count = index(ranks.size()), me = index(ranks.rank());
  if (sizes.size() != count || (mine ? mine.size() : 0) != sizes[me])
    fail(Kind::internal, "a part of a tensor has another size than is said");
  std::vector<Real> all, sent;
  if (ranks.rank() == 0) all.resize(index(std::accumulate(sizes.begin(), sizes.end(), int64_t{0})));
  sent.resize(index(sizes[me]));
  if (!sent.empty()) device.read(sent.data(), mine.data, sent.size() * sizeof(Real));
  Collective::Parts out(count);
  Collective::Places in(count);
  out[0] = std::as_bytes(std::span(sent));
  size_t at = 0;
  for (size_t p = 0; p < count && ranks.rank() == 0; ++p) {
    in[p] = std::as_writable_bytes(std::span(all).subspan(at, index(sizes[p])));
    at += index(sizes[p]);
  }
  ranks.exchange(out, in);
  return all;
}

template std::vector<float> collect<float>(Collective&, Device&, ConstView, std::span<const int64_t>);
template std::vector<double> collect<double>(Collective&, Device&, ConstView, std::span<const int64_t>);

}  // namespace gristmill::runtime
