#include "train/ranks.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "runtime/backend.hpp"

namespace gristmill::train {

using model::ParameterInfo;
using model::ParameterSet;
using runtime::DType;
using runtime::Range;

namespace {

constexpr auto kFirstSpeaks = std::chrono::seconds(1);

size_t index(int64_t value) { return static_cast<size_t>(value); }

}  // namespace

Ranks::Ranks(runtime::Collective& collective, runtime::Device& device, std::vector<Ownership> ownership,
             const RanksOptions& options, std::unique_ptr<runtime::ArenaExchange> exchange)
    : collective_(&collective),
      device_(&device),
      options_(options),
      exchange_(exchange ? std::move(exchange) : runtime::open_arena_exchange(collective, device)),
      ownership_(std::move(ownership)),
      keeps_order_(options.deterministic_reduce || exchange_->keeps_order()) {
  int64_t sum = 0, blocks = 0;
  for (const auto& [bucket, owned, first] : ownership_) {
    if (static_cast<int>(owned.size()) != size()) fail(Kind::internal, "one range a rank is needed");
    Bucket& to = buckets_.emplace_back();
    for (const Range range : owned) {
      to.owned.push_back({range.first - bucket.first, range.size});
      to.summed.push_back({range.first - bucket.first, with_whole_blocks(range, bucket).size});
    }
    to.sum = sum;
    sum += to.summed[index(rank())].size;
    blocks += blocks_of(owned[index(rank())]).size / kBlock;
  }
  if (size() == 1) return;
  sum_ = runtime::Buffer(device, device.real(), 1, sum);
  squares_ = runtime::Buffer(device, DType::f64, 1, blocks);
}

model::Residence Ranks::gradient_residence() const {
  return takes_turns() ? model::Residence::turns : model::Residence::whole;
}

/// Of the bucket that an element of the arena stands in.
size_t Ranks::index_of(int64_t first) const {
  const auto behind =
      std::upper_bound(ownership_.begin(), ownership_.end(), first,
                       [](int64_t at, const Ownership& ownership) { return at < ownership.bucket.first; });
  return static_cast<size_t>(behind - ownership_.begin()) - 1;
}

runtime::View Ranks::values_of(const ParameterSet& set, size_t bucket) const {
  const Range range = ownership_[bucket].bucket;
  return set.region(range.first, range.size);
}

void Ranks::begin_step(ParameterSet& gradients) {
  gradients_ = &gradients;
  if (sum_ && sum_.view().cols > 0) device_->backend().fill(sum_.view(), 0);
}

void Ranks::begin_round(int64_t contributors, bool is_last) {
  contributors_ = contributors;
  exchanges_ = size() > 1 && (is_last || keeps_order_ || options_.zero == 2);
  left_ = exchanges_ ? buckets_.size() : 0;
}

void Ranks::clear(runtime::View gradients) { device_->backend().fill(gradients, 0); }

/// With turns, what was exchanged last has had the time of this bucket's backward pass; its place is the next
/// bucket's, and becomes free before this exchange begins and keeps all behind it waiting.
void Ranks::exchange(size_t bucket) {
  if (takes_turns()) {
    exchange_->wait();
    if (bucket + 1 < buckets_.size()) clear(values_of(*gradients_, bucket + 1));
  }
  const Bucket& of = buckets_[bucket];
  const runtime::View values = values_of(*gradients_, bucket);
  const runtime::View sum = sum_.view().col_range(of.sum, of.summed[index(rank())].size);
  if (keeps_order_) {
    exchange_->add_in_order(sum, values, of.summed, contributors_);
  } else {
    exchange_->add(sum, values, of.summed);
  }
}

void Ranks::finished(int64_t bucket) {
  if (!exchanges_) return;
  if (index(bucket) + 1 != left_) fail(Kind::internal, "bucket ", bucket, " is finished out of turn");
  exchange(--left_);
}

std::vector<double> Ranks::end_round(std::span<const double> values) {
  while (left_ > 0) exchange(--left_);
  if (exchanges_) {
    exchange_->wait();
    clear(takes_turns() ? values_of(*gradients_, 0) : gradients_->all());
  }
  exchanges_ = false;
  return in_order(contributors_, values);
}

std::vector<double> Ranks::in_order(int64_t contributors, std::span<const double> values) {
  if (size() == 1) return {values.begin(), values.end()};
  return runtime::gather_values(*collective_, rank() < contributors ? values : std::span<const double>());
}

void Ranks::end_step() { gradients_ = nullptr; }

runtime::View Ranks::summed(int64_t first, int64_t size) const {
  const size_t bucket = index_of(first);
  const auto begin = ownership_[bucket].bucket.first + buckets_[bucket].summed[index(rank())].first;
  return sum_.view().col_range(buckets_[bucket].sum + first - begin, size);
}

std::vector<double> Ranks::squares_of_blocks() {
  int64_t next = 0;
  for (const auto& [bucket, owned, first] : ownership_) {
    const Range blocks = blocks_of(owned[index(rank())]);
    const int64_t count = blocks.size / kBlock;
    if (count == 0) continue;
    device_->backend().sum_of_squares(
        squares_.view().col_range(next, count),
        summed(blocks.first, std::min(blocks.end(), bucket.end()) - blocks.first));
    next += count;
  }
  std::vector<double> mine;
  if (next > 0) mine = runtime::read_real(*device_, squares_.view());
  return runtime::gather_values(*collective_, mine);
}

double Ranks::norm() {
  const auto squares = squares_of_blocks();
  std::vector<size_t> next(index(size()));  // where the next block of each rank stands
  for (size_t r = 1; r < next.size(); ++r) {
    next[r] = next[r - 1];
    for (const auto& ownership : ownership_)
      next[r] += index(blocks_of(ownership.owned[r - 1]).size / kBlock);
  }
  double sum = 0;
  for (const auto& ownership : ownership_) {
    for (int position = 0; position < size(); ++position) {
      const auto r = index(ownership.rank_at(position));
      for (int64_t left = blocks_of(ownership.owned[r]).size; left > 0; left -= kBlock)
        sum += squares.at(next[r]++);
    }
  }
  return std::sqrt(sum);
}

void Ranks::share(ParameterSet& parameters) {
  if (size() == 1) return;
  for (size_t b = 0; b < buckets_.size(); ++b) exchange_->share(values_of(parameters, b), buckets_[b].owned);
  exchange_->wait();
}

std::vector<std::string> Ranks::texts(const std::string& mine) {
  return runtime::gather_texts(*collective_, mine);
}

bool Ranks::any(bool mine) {
  if (size() == 1) return mine;
  const double value = mine ? 1 : 0;
  const auto values = runtime::gather_values(*collective_, std::span(&value, 1));
  return std::any_of(values.begin(), values.end(), [](double said) { return said != 0; });
}

template <class Real>
std::vector<Real> Ranks::collect(runtime::ConstView mine, const ParameterInfo& tensor) {
  const Ownership& ownership = ownership_[index_of(tensor.offset)];
  const int64_t end = tensor.offset + tensor.size();
  std::vector<int64_t> sizes;
  for (const Range& range : ownership.owned)
    sizes.push_back(std::max<int64_t>(0, std::min(range.end(), end) - std::max(range.first, tensor.offset)));
  auto by_rank = runtime::collect<Real>(*collective_, *device_, mine, sizes);
  int64_t ahead = 0;  // of ranks whose parts stand behind the last rank's
  for (int r = 0; r < ownership.first; ++r) ahead += sizes[index(r)];
  if (!by_rank.empty()) std::rotate(by_rank.begin(), by_rank.begin() + ahead, by_rank.end());
  return by_rank;
}

template std::vector<float> Ranks::collect<float>(runtime::ConstView, const ParameterInfo&);
template std::vector<double> Ranks::collect<double>(runtime::ConstView, const ParameterInfo&);

void Ranks::meet() {
  if (size() > 1) runtime::gather_values(*collective_, {});
}

std::vector<double> in_rounds(Ranks* ranks, int64_t count, ParameterSet* gradients,
                              const std::function<std::vector<double>(int64_t)>& compute) {
  const int64_t size = ranks == nullptr ? 1 : ranks->size(), rank = ranks == nullptr ? 0 : ranks->rank();
  const bool adds = ranks != nullptr && gradients != nullptr;
  std::vector<double> sums;
  if (adds) ranks->begin_step(*gradients);
  for (int64_t first = 0; first < count; first += size) {
    const int64_t contributors = std::min(size, count - first);
    if (adds) ranks->begin_round(contributors, first + size >= count);
    std::vector<double> values;
    if (first + rank < count) values = compute(first + rank);
    if (ranks != nullptr) values = adds ? ranks->end_round(values) : ranks->in_order(contributors, values);
    sums.resize(values.size() / static_cast<size_t>(contributors));
    for (size_t i = 0; i < values.size(); ++i) sums[i % sums.size()] += values[i];
  }
  if (adds) ranks->end_step();
  return sums;
}

void run_together(runtime::Collective& collective, const std::function<void()>& body) {
  if (collective.size() == 1) return body();
  const int rank = collective.rank();
  if (rank != 0) log::set_level(log::Level::quiet);
  const auto say_and_end = [&](const std::string& message, int code) {
    // Most errors meet all ranks alike (an option, a file); then rank 0 has said it and ended all by now.
    if (rank != 0) std::this_thread::sleep_for(kFirstSpeaks);
    log::write(rank == 0 ? message : str("rank ", rank, ": ", message));
    collective.end_all(code);
  };
  try {
    body();
    collective.leave();
  } catch (const Stopped& stopped) {
    // Said before they part: a launcher ends all ranks as soon as the first has ended with another code than
    // 0.
    if (rank == 0) log::write(stopped.what());
    collective.leave();
    throw Stopped("");
  } catch (const Error& error) {
    say_and_end(error.what(), error.kind() == Kind::usage ? 2 : 1);
    throw;
  } catch (const std::bad_alloc&) {
    say_and_end("out of memory: use a smaller batch, or a larger machine", 1);
    throw;
  } catch (const std::exception& error) {
    say_and_end(error.what(), 1);
    throw;
  }
}

}  // namespace gristmill::train
