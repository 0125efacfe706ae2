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

constexpr int64_t kCut = 64;  // ranges begin at multiples of it: a cache line or more
constexpr int64_t kBlock =
    4096;  // elements of one partial sum of the norm, as Backend::sum_of_squares takes them
constexpr auto kFirstSpeaks = std::chrono::seconds(1);

int64_t rounded_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

/// Where blocks begin that the owner of a range computes: [first, end) in steps of kBlock.
Range blocks_of(Range own) {
  const int64_t first = rounded_up(own.first, kBlock);
  return {first, std::max<int64_t>(0, rounded_up(own.end(), kBlock) - first)};
}

std::vector<Range> with_whole_blocks(const std::vector<Range>& owned) {
  std::vector<Range> result = owned;
  const int64_t total = owned.back().end();
  for (Range& range : result) {
    const Range blocks = blocks_of(range);
    if (blocks.size > 0) range.size = std::min(total, blocks.end()) - range.first;
  }
  return result;
}

}  // namespace

std::vector<Range> partition(const std::vector<ParameterInfo>& table, int64_t total, int ranks,
                             const std::function<bool(const ParameterInfo&)>& is_whole) {
  std::vector<Range> owned;
  int64_t begin = 0;
  for (int64_t r = 1; r <= ranks; ++r) {
    int64_t end = r == ranks ? total : std::min(total, rounded_up(total * r / ranks, kCut));
    for (size_t i = 0; i < table.size() && r < ranks; ++i) {
      const int64_t first = table[i].offset, next = i + 1 < table.size() ? table[i + 1].offset : total;
      if (first < end && end < next && is_whole(table[i])) end = end - first < next - end ? first : next;
    }
    end = std::max(begin, end);
    owned.push_back({begin, end - begin});
    begin = end;
  }
  return owned;
}

Ranks::Ranks(runtime::Collective& collective, runtime::Device& device, std::vector<Range> owned)
    : collective_(&collective),
      device_(&device),
      exchange_(runtime::open_arena_exchange(collective, device)),
      owned_(std::move(owned)),
      summed_(with_whole_blocks(owned_)) {
  if (static_cast<int>(owned_.size()) != size()) fail(Kind::internal, "one range a rank is needed");
  if (size() == 1) return;
  sum_ = runtime::Buffer(device, device.real(), 1, summed_[static_cast<size_t>(rank())].size);
  squares_ = runtime::Buffer(device, DType::f64, 1, blocks_of(own()).size / kBlock);
}

std::vector<double> Ranks::end_round(ParameterSet& gradients, int64_t contributors,
                                     std::span<const double> values) {
  if (size() == 1) return {values.begin(), values.end()};
  exchange_->add_in_order(sum_.view(), gradients.all(), summed_, contributors);
  exchange_->wait();
  device_->backend().fill(gradients.all(), 0);
  return in_order(contributors, values);
}

std::vector<double> Ranks::in_order(int64_t contributors, std::span<const double> values) {
  if (size() == 1) return {values.begin(), values.end()};
  return runtime::gather_values(*collective_, rank() < contributors ? values : std::span<const double>());
}

void Ranks::end_step(ParameterSet& gradients) {
  if (size() == 1) return;
  const Range mine = summed_[static_cast<size_t>(rank())];
  if (mine.size == 0) return;
  device_->backend().copy(gradients.all().col_range(mine.first, mine.size), sum_.view());
  device_->backend().fill(sum_.view(), 0);
}

double Ranks::norm(const ParameterSet& set) {
  if (size() == 1) {
    const runtime::Buffer sum(*device_, DType::f64, 1, 1);
    device_->backend().sum_of_squares(sum.view(), set.all());
    return std::sqrt(runtime::read_real(*device_, sum.view()).front());
  }
  const Range blocks = blocks_of(own());
  for (int64_t at = blocks.first; at < blocks.end(); at += kBlock) {
    const auto block = set.all().col_range(at, std::min(kBlock, set.all().cols - at));
    device_->backend().sum_of_squares(squares_.view().col_range((at - blocks.first) / kBlock, 1), block);
  }
  std::vector<double> mine;
  if (blocks.size > 0) mine = runtime::read_real(*device_, squares_.view());
  double sum = 0;
  for (const double square : runtime::gather_values(*collective_, mine)) sum += square;
  return std::sqrt(sum);
}

void Ranks::share(ParameterSet& parameters) {
  exchange_->share(parameters.all(), owned_);
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
std::vector<Real> Ranks::collect(runtime::ConstView mine, std::span<const int64_t> sizes) {
  return runtime::collect<Real>(*collective_, *device_, mine, sizes);
}

template std::vector<float> Ranks::collect<float>(runtime::ConstView, std::span<const int64_t>);
template std::vector<double> Ranks::collect<double>(runtime::ConstView, std::span<const int64_t>);

std::vector<int64_t> Ranks::sizes_of(const ParameterInfo& tensor) const {
  std::vector<int64_t> sizes;
  const int64_t end = tensor.offset + tensor.size();
  for (const Range& range : owned_)
    sizes.push_back(std::max<int64_t>(0, std::min(range.end(), end) - std::max(range.first, tensor.offset)));
  return sizes;
}

void Ranks::meet() {
  if (size() > 1) runtime::gather_values(*collective_, {});
}

std::vector<double> in_rounds(Ranks* ranks, int64_t count, ParameterSet* gradients,
                              const std::function<std::vector<double>(int64_t)>& compute) {
  const int64_t size = ranks == nullptr ? 1 : ranks->size(), rank = ranks == nullptr ? 0 : ranks->rank();
  std::vector<double> sums;
  for (int64_t first = 0; first < count; first += size) {
    std::vector<double> values;
    if (first + rank < count) values = compute(first + rank);
    const int64_t contributors = std::min(size, count - first);
    if (ranks != nullptr && gradients != nullptr) {
      values = ranks->end_round(*gradients, contributors, values);
    } else if (ranks != nullptr) {
      values = ranks->in_order(contributors, values);
    }
    sums.resize(values.size() / static_cast<size_t>(contributors));
    for (size_t i = 0; i < values.size(); ++i) sums[i % sums.size()] += values[i];
  }
  if (ranks != nullptr && gradients != nullptr) ranks->end_step(*gradients);
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
