#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"
#include "lab.hpp"
#include "support/catch.hpp"
#include "support/data.hpp"

using namespace gristmill;
using namespace gristmill::runtime;
using namespace gristmill::runtime::test;

namespace {

constexpr int64_t kDraws = 4000;

/// Shares of the ids among draws from one row of logits, at evenly spread uniforms.
std::vector<double> shares(Device& device, const std::vector<double>& logits, const Sampling& args) {
  Lab lab(device);
  std::vector<double> rows, uniforms;
  for (int64_t i = 0; i < kDraws; ++i) {
    rows.insert(rows.end(), logits.begin(), logits.end());
    uniforms.push_back((static_cast<double>(i) + 0.5) / static_cast<double>(kDraws));
  }
  const auto size = static_cast<int64_t>(logits.size());
  const View ids = lab.ints(std::vector<int32_t>(static_cast<size_t>(kDraws), -1)),
             log_prob = lab.real(kDraws, 1);
  lab.backend().sample(ids, log_prob, lab.values(kDraws, size, rows), lab.values(kDraws, 1, uniforms), args);
  std::vector<double> counts(logits.size(), 0.0);
  for (const double id : lab.read(ids))
    counts.at(static_cast<size_t>(id)) += 1.0 / static_cast<double>(kDraws);
  return counts;
}

std::vector<std::unique_ptr<Device>> devices() {
  std::vector<std::unique_ptr<Device>> all;
  all.push_back(open_reference_device(DType::f64));
  all.push_back(open_device("cpu", 2));
  return all;
}

void check_shares(const std::vector<double>& found, const std::vector<double>& expected) {
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    INFO("id " << i);
    CHECK(std::abs(found[i] - expected[i]) <= 1.5 / static_cast<double>(kDraws));
    CHECK((found[i] > 0) == (expected[i] > 0));
  }
}

const std::vector<double> kLogits = {0.5, 2.0, -3.0, 1.0, 0.0, -1.0};

}  // namespace

TEST_CASE("random draws follow the softmax: chi-square over 8 ids", "[runtime]") {
  for (const auto& device : devices()) {
    Lab lab(*device);
    const std::vector<double> logits = {0, 1, 2, -1, 0.5, 1.5, -0.5, 0.25};
    std::vector<double> rows, uniforms;
    Rng rng(11, stream_of(RandomStream::test));
    for (int i = 0; i < kDraws; ++i) {
      rows.insert(rows.end(), logits.begin(), logits.end());
      uniforms.push_back(rng.uniform());
    }
    const View ids = lab.ints(std::vector<int32_t>(static_cast<size_t>(kDraws), -1)),
               log_prob = lab.real(kDraws, 1);
    lab.backend().sample(ids, log_prob, lab.values(kDraws, 8, rows), lab.values(kDraws, 1, uniforms), {});
    double total = 0, chi_square = 0;
    for (const double logit : logits) total += std::exp(logit);
    std::map<double, double> counts;
    const auto drawn = lab.read(ids), said = lab.read(log_prob);
    for (size_t i = 0; i < drawn.size(); ++i) {
      counts[drawn[i]] += 1;
      CHECK(said[i] == Approx(logits[static_cast<size_t>(drawn[i])] - std::log(total)).margin(1e-6));
    }
    for (size_t id = 0; id < logits.size(); ++id) {
      const double expected = static_cast<double>(kDraws) * std::exp(logits[id]) / total;
      chi_square += std::pow(counts[static_cast<double>(id)] - expected, 2) / expected;
    }
    CHECK(chi_square < 24.3);  // 7 degrees of freedom, p = 0.001
  }
}

TEST_CASE("top-k, top-p and min-p keep what they say and renormalise", "[runtime]") {
  double all = 0;
  for (const double logit : kLogits) all += std::exp(logit);
  const double kept = std::exp(2.0) + std::exp(1.0) + std::exp(0.5);
  const std::vector<double> three = {
      std::exp(0.5) / kept, std::exp(2.0) / kept, 0, std::exp(1.0) / kept, 0, 0};
  for (const auto& device : devices()) {
    check_shares(shares(*device, kLogits, {1, 3, 1, 0}), three);
    check_shares(shares(*device, kLogits, {1, 0, 0.8, 0}), three);  // 0.767 after two, 0.892 after three
    check_shares(shares(*device, kLogits, {1, 0, 1, 0.2}), three);  // 0.5 - 2 = -1.5 > ln 0.2
    check_shares(shares(*device, kLogits, {1, 1, 1, 0}), {0, 1, 0, 0, 0, 0});
    check_shares(shares(*device, kLogits, {1, 0, 1e-9, 0}), {0, 1, 0, 0, 0, 0});
    check_shares(shares(*device, kLogits, {1, 0, 1, 2.0}), {0, 1, 0, 0, 0, 0});
    check_shares(shares(*device, kLogits, {1, 99, 1, 0}), [&] {
      std::vector<double> softmax;
      for (const double logit : kLogits) softmax.push_back(std::exp(logit) / all);
      return softmax;
    }());
  }
}

TEST_CASE("top-k breaks ties by the lower id", "[runtime]") {
  for (const auto& device : devices()) {
    check_shares(shares(*device, {0, 1, 1, 1, 0}, {1, 2, 1, 0}), {0, 0.5, 0.5, 0, 0});
    check_shares(shares(*device, {0, 1, 1, 1, 0}, {1, 0, 0.3, 0}), {0, 0.5, 0.5, 0, 0});
  }
}

TEST_CASE("temperature 0 is the argmax, the lowest id on ties, under the unscaled softmax", "[runtime]") {
  for (const auto& device : devices()) {
    Lab lab(*device);
    const View ids = lab.ints({-1, -1}), log_prob = lab.real(2, 1);
    lab.backend().sample(ids, log_prob, lab.values(2, 4, {0, 3, 3, 1, 5, 5, 5, 5}),
                         lab.values(2, 1, {0.99, 0.99}), {0, 2, 0.5, 0.5});
    CHECK((lab.read(ids) == std::vector<double>{1, 0}));
    CHECK(lab.read(log_prob)[1] == Approx(-std::log(4.0)));
  }
}

TEST_CASE("a uniform that rounds to 1 draws a token that has mass", "[runtime]") {
  for (const auto& device : devices()) {
    Lab lab(*device);
    const View ids = lab.ints({-1}), log_prob = lab.real(1, 1);
    lab.backend().sample(ids, log_prob, lab.values(1, 3, {0, 1, -1e30}), lab.values(1, 1, {1.0}), {});
    CHECK((lab.read(ids) == std::vector<double>{1}));
  }
}

TEST_CASE("logits that are not finite are an error, not a draw", "[runtime]") {
  for (const auto& device : devices()) {
    Lab lab(*device);
    const View ids = lab.ints({-1}), log_prob = lab.real(1, 1);
    const View logits = lab.values(1, 3, {0, std::nan(""), 1});
    CHECK_THROWS_AS(lab.backend().sample(ids, log_prob, logits, lab.values(1, 1, {0.5}), {}), Error);
  }
}

TEST_CASE("filters give the published distributions", "[runtime]") {
  REQUIRE_EXTERNAL_DATA(path, "posttrain/known_answers.json");
  const Json answers = read_json_file(path.string());
  for (const Json& item : answers.at("cases").as_array()) {
    if (item.at("name").as_string() != "sampling_filters") continue;
    const auto numbers = [](const Json& list) {
      std::vector<double> values;
      for (const Json& value : list.as_array()) values.push_back(value.as_double());
      return values;
    };
    const auto logits = numbers(item.at("inputs").at("logits"));
    const Json& outputs = item.at("outputs");
    for (const auto& device : devices()) {
      check_shares(shares(*device, logits, {1, 0, 1, 0}), numbers(outputs.at("softmax")));
      check_shares(shares(*device, logits, {0.7, 0, 1, 0}), numbers(outputs.at("temp0_7")));
      check_shares(shares(*device, logits, {1, 3, 1, 0}), numbers(outputs.at("topk3")));
      check_shares(shares(*device, logits, {1, 0, 0.8, 0}), numbers(outputs.at("topp0_8")));
      check_shares(shares(*device, logits, {0.7, 0, 0.9, 0}), numbers(outputs.at("temp0_7_topp0_9")));
      check_shares(shares(*device, logits, {1, 0, 1, 0.1}), numbers(outputs.at("minp0_1")));
    }
  }
}

TEST_CASE("top-p keeps hundreds of equal ids where their mass is needed", "[runtime]") {
  for (const auto& device : devices()) {
    const auto found = shares(*device, std::vector<double>(1000, 0.25), {1, 0, 0.7, 0});
    for (size_t id = 0; id < found.size(); ++id) {
      INFO("id " << id);
      CHECK((found[id] > 0) == (id < 700));
    }
  }
}
