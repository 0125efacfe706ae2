#include "base/rng.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

#include "support/catch.hpp"

using namespace gristmill;

// Known answers of the paper's own kat_vectors: counter words (c0, c1) are the index, (c2, c3) the stream.
TEST_CASE("Philox gives the published known answers", "[base]") {
  using Block = std::array<uint32_t, 4>;
  CHECK(philox4x32(0, 0, 0) == Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32(UINT64_MAX, UINT64_MAX, UINT64_MAX) ==
        Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88) ==
        Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a sequence continues from its position alone", "[base]") {
  Rng whole(5, stream_of(RandomStream::test));
  std::vector<double> values;
  for (int i = 0; i < 10; ++i) values.push_back(whole.normal());
  Rng half(5, stream_of(RandomStream::test));
  for (int i = 0; i < 4; ++i) half.normal();
  Rng rest(5, stream_of(RandomStream::test), half.position());
  for (size_t i = 4; i < 10; ++i) CHECK(rest.normal() == values[i]);
}

TEST_CASE("seeds, purposes and items have sequences of their own", "[base]") {
  std::set<uint64_t> seen;
  for (const uint64_t seed : {1, 2, 3}) {
    for (const auto purpose : {RandomStream::shuffle, RandomStream::sampling, RandomStream::rollout}) {
      for (uint64_t item = 0; item < 5; ++item) seen.insert(Rng(seed, stream_of(purpose, item)).bits());
    }
  }
  CHECK(seen.size() == 45);
}

TEST_CASE("bounded numbers are uniform", "[base]") {
  for (const uint64_t bound : {1, 2, 3, 10, 1000}) {
    Rng rng(1, stream_of(RandomStream::test, bound));
    std::vector<uint64_t> count(bound);
    const uint64_t draws = 200 * bound;
    for (uint64_t i = 0; i < draws; ++i) {
      const auto value = rng.below(bound);
      REQUIRE(value < bound);
      ++count[value];
    }
    double chi_squared = 0;
    for (const auto c : count) chi_squared += std::pow(static_cast<double>(c) - 200, 2) / 200;
    const auto freedom = static_cast<double>(bound - 1);
    CHECK(chi_squared <= freedom + 4 * std::sqrt(2 * freedom));
  }
}

TEST_CASE("a bound just above half the range rejects instead of favouring small numbers", "[base]") {
  // Taken modulo the bound, two thirds of the numbers would lie below 2^63.
  const uint64_t bound = (uint64_t{1} << 63) + (uint64_t{1} << 62);
  Rng rng(1, stream_of(RandomStream::test, 77));
  int small = 0;
  for (int i = 0; i < 6000; ++i) small += rng.below(bound) < bound / 3;
  CHECK(std::abs(small - 2000) < 150);
}

TEST_CASE("uniform numbers fill the range from 0 to 1, 1 itself left out", "[base]") {
  Rng rng(2, stream_of(RandomStream::test));
  double sum = 0, low = 1, high = 0;
  for (int i = 0; i < 20000; ++i) {
    const double value = rng.uniform();
    sum += value, low = std::min(low, value), high = std::max(high, value);
  }
  CHECK(low >= 0);
  CHECK(low < 0.001);
  CHECK(high < 1);
  CHECK(high > 0.999);
  CHECK(sum / 20000 == Approx(0.5).margin(0.01));
}

TEST_CASE("normal numbers have the moments of the normal distribution", "[base]") {
  Rng rng(3, stream_of(RandomStream::test));
  double sums[5] = {};
  constexpr int kDraws = 40000;
  for (int i = 0; i < kDraws; ++i) {
    const double value = rng.normal();
    for (int power = 1; power <= 4; ++power) sums[power] += std::pow(value, power);
  }
  CHECK(sums[1] / kDraws == Approx(0).margin(0.02));
  CHECK(sums[2] / kDraws == Approx(1).margin(0.03));
  CHECK(sums[3] / kDraws == Approx(0).margin(0.08));
  CHECK(sums[4] / kDraws == Approx(3).margin(0.25));
}
