#include "train/optimizer.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.hpp"
#include "model/safetensors.hpp"
#include "support/catch.hpp"
#include "support/scratch.hpp"
#include "train/muon.hpp"
#include "train/train_fixtures.hpp"

using namespace gristmill;
using runtime::DType;

namespace {

using Matrix = std::vector<std::vector<double>>;

Matrix zeros(size_t rows, size_t cols) { return Matrix(rows, std::vector<double>(cols)); }

Matrix random_matrix(size_t rows, size_t cols, uint64_t stream) {
  Matrix out = zeros(rows, cols);
  Rng rng(5, stream_of(RandomStream::test, stream));
  for (auto& row : out) {
    for (auto& value : row) value = rng.normal();
  }
  return out;
}

Matrix transposed(const Matrix& a) {
  Matrix out = zeros(a[0].size(), a.size());
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < a[0].size(); ++j) out[j][i] = a[i][j];
  }
  return out;
}

Matrix product(const Matrix& a, const Matrix& b) {
  Matrix out = zeros(a.size(), b[0].size());
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < b[0].size(); ++j) {
      for (size_t k = 0; k < b.size(); ++k) out[i][j] += a[i][k] * b[k][j];
    }
  }
  return out;
}

/// x·a + y·b.
Matrix sum(double x, const Matrix& a, double y, const Matrix& b) {
  Matrix out = a;
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < a[0].size(); ++j) out[i][j] = x * a[i][j] + y * b[i][j];
  }
  return out;
}

/// Newton and Schulz as Jordan et al. write it down: always on the wide side.
Matrix plain_orthogonal(const Matrix& g) {
  if (g.size() > g[0].size()) return transposed(plain_orthogonal(transposed(g)));
  double squares = 0;
  for (const auto& row : g) {
    for (const double value : row) squares += value * value;
  }
  Matrix x = sum(1 / std::sqrt(squares), g, 0, g);
  for (int i = 0; i < 5; ++i) {
    const Matrix a = product(x, transposed(x));
    x = sum(3.4445, x, 1, product(sum(-4.7750, a, 2.0315, product(a, a)), x));
  }
  return x;
}

std::vector<double> flat(const Matrix& a) {
  std::vector<double> out;
  for (const auto& row : a) out.insert(out.end(), row.begin(), row.end());
  return out;
}

/// Largest difference, as a share of the largest expected value.
double difference(const std::vector<double>& got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  double worst = 0, largest = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    worst = std::max(worst, std::abs(got[i] - expected[i]));
    largest = std::max(largest, std::abs(expected[i]));
  }
  return worst / largest;
}

/// A table of the given matrices.
std::vector<model::ParameterInfo> table_of(const std::vector<std::pair<std::string, Matrix>>& tensors) {
  std::vector<model::ParameterInfo> table;
  int64_t offset = 0;
  for (const auto& [name, values] : tensors) {
    model::ParameterInfo info;
    info.name = name;
    info.rows = static_cast<int64_t>(values.size());
    info.cols = static_cast<int64_t>(values[0].size());
    info.shape = {info.rows, info.cols};
    info.offset = offset;
    info.decay = info.rows > 1;
    offset += (info.size() + 15) / 16 * 16;
    table.push_back(info);
  }
  return table;
}

void write(const model::ParameterSet& set, size_t index, const Matrix& values) {
  const auto all = flat(values);
  runtime::write_real(set.device(), set.view(index), std::span<const double>(all));
}

}  // namespace

TEST_CASE("two steps of AdamW as worked out by hand", "[train]") {
  // Rate 0.1, decay 0.1, betas 0.9 and 0.95, weights (1, -2).
  // Step 1, gradient (0.3, -0.4): m = (0.03, -0.04), m/(1-0.9) = (0.3, -0.4); v = (0.0045, 0.008),
  //   v/(1-0.95) = (0.09, 0.16), root (0.3, 0.4); quotient (1, -1);
  //   weights (1 - 0.1·(1 + 0.1), -2 - 0.1·(-1 - 0.2)) = (0.89, -1.88).
  // Step 2, gradient (0.6, 0.8): m = (0.087, 0.044), m/(1-0.81) = (0.457895, 0.231579);
  //   v = (0.022275, 0.0396), v/(1-0.9025) = (0.228462, 0.406154), root (0.477976, 0.637302);
  //   quotient (0.957986, 0.363374);
  //   weights (0.89 - 0.1·(0.957986 + 0.089), -1.88 - 0.1·(0.363374 - 0.188)) = (0.7853014, -1.8975374).
  const auto device = runtime::open_device("cpu", 1);
  const Matrix start = {{1}, {-2}};
  const auto table = table_of({{"w", start}});
  model::ParameterSet weights(*device, table), gradients(*device, table);
  write(weights, 0, start);
  train::OptimizerOptions options;
  options.clip_norm = 0;
  train::Optimizer optimizer(*device, table, options);
  write(gradients, 0, {{0.3}, {-0.4}});
  CHECK(optimizer.gradient_norm(gradients) == Approx(0.5));
  optimizer.update(weights, gradients, 0.5, 0.1, 1);
  const auto once = runtime::read_real(*device, weights.view(0));
  CHECK(once[0] == Approx(0.89).epsilon(1e-6));
  CHECK(once[1] == Approx(-1.88).epsilon(1e-6));
  write(gradients, 0, {{0.6}, {0.8}});
  optimizer.update(weights, gradients, 1, 0.1, 2);
  const auto twice = runtime::read_real(*device, weights.view(0));
  CHECK(twice[0] == Approx(0.7853014).epsilon(1e-6));
  CHECK(twice[1] == Approx(-1.8975374).epsilon(1e-6));
}

TEST_CASE("Muon's update is the plain one of its paper, for wide, tall and square matrices", "[train]") {
  for (const bool exact : {true, false}) {
    const auto device = exact ? runtime::open_reference_device(DType::f64) : runtime::open_device("cpu", 2);
    for (const auto& [rows, cols] : std::vector<std::pair<size_t, size_t>>{{16, 40}, {40, 16}, {24, 24}}) {
      const Matrix start = random_matrix(rows, cols, 1);
      const auto table = table_of({{"w", start}});
      model::ParameterSet weights(*device, table), momentum(*device, table), gradients(*device, table);
      write(weights, 0, start);
      train::Muon muon(*device);
      train::MuonStep step;
      step.learning_rate = 0.02;
      step.weight_decay = 0.1;
      step.gradient_scale = 0.5;
      Matrix expected = start, held = zeros(rows, cols);
      for (const uint64_t stream : {2, 3}) {
        const Matrix gradient = random_matrix(rows, cols, stream);
        write(gradients, 0, gradient);
        muon.update(weights.view(0), momentum.view(0), gradients.view(0), step);
        held = sum(0.95, held, 0.5, gradient);
        const Matrix direction = plain_orthogonal(sum(0.5, gradient, 0.95, held));
        const double scale = 0.2 * std::sqrt(static_cast<double>(std::max(rows, cols)));
        expected = sum(1 - 0.02 * 0.1, expected, -0.02 * scale, direction);
      }
      CHECK(difference(runtime::read_real(*device, weights.view(0)), flat(expected)) <
            (exact ? 1e-12 : 1e-5));
      CHECK(difference(runtime::read_real(*device, momentum.view(0)), flat(held)) < (exact ? 1e-14 : 1e-6));
    }
  }
}

TEST_CASE("Muon brings all singular values near 1", "[train]") {
  const auto device = runtime::open_device("cpu", 1);
  const Matrix start = random_matrix(40, 16, 4);
  const auto table = table_of({{"w", start}});
  model::ParameterSet x(*device, table);
  write(x, 0, start);
  train::Muon muon(*device);
  const auto values = runtime::read_real(*device, muon.orthogonalize(x.view(0)));
  Matrix result = zeros(40, 16);
  for (size_t i = 0; i < values.size(); ++i) result[i / 16][i % 16] = values[i];
  // The eigenvalues of the 16 × 16 Gram matrix are the squares: within [0.68², 1.2²] by Gershgorin would be
  // too rough, so the largest by power iteration, and the smallest as the largest of c·I - G.
  const Matrix gram = product(transposed(result), result);
  const auto largest = [](const Matrix& a) {
    Matrix v(a.size(), std::vector<double>(1, 1.0));
    v[0][0] = 1.5;
    double length = 0;
    for (int i = 0; i < 2000; ++i) {
      v = product(a, v);
      length = std::sqrt(product(transposed(v), v)[0][0]);
      v = sum(1 / length, v, 0, v);
    }
    return length;
  };
  Matrix identity = zeros(16, 16);
  for (size_t i = 0; i < 16; ++i) identity[i][i] = 1;
  const double high = std::sqrt(largest(gram)), low = std::sqrt(2 - largest(sum(2, identity, -1, gram)));
  CHECK(high < 1.25);
  CHECK(low > 0.65);
  CHECK(low < high);
  // What has no direction stays where it is.
  device->backend().fill(x.view(0), 0);
  for (const double value : runtime::read_real(*device, muon.orthogonalize(x.view(0)))) REQUIRE(value == 0);
}

TEST_CASE("Muon takes the matrices of the layers, AdamW all else as if it were alone", "[train]") {
  const auto device = runtime::open_device("cpu", 1);
  const auto table = model::parameter_table(test::tiny_config(false));
  const auto run = [&](train::OptimizerKind kind) {
    model::ParameterSet weights(*device, table), gradients(*device, table);
    model::initialize(weights, 1);
    model::initialize(gradients, 2);
    train::OptimizerOptions options;
    options.kind = kind;
    train::Optimizer optimizer(*device, table, options);
    for (int64_t step = 1; step <= 2; ++step) {
      optimizer.update(weights, gradients, optimizer.gradient_norm(gradients), 0.01, step);
    }
    CHECK(optimizer.is_finite(weights));
    std::vector<std::vector<double>> tensors;
    for (size_t i = 0; i < table.size(); ++i) {
      tensors.push_back(runtime::read_real(*device, weights.view(i)));
    }
    return tensors;
  };
  const auto adamw = run(train::OptimizerKind::adamw), muon = run(train::OptimizerKind::muon);
  size_t hidden = 0;
  for (size_t i = 0; i < table.size(); ++i) {
    INFO(table[i].name);
    const bool expected = table[i].name.ends_with("_proj.weight");
    CHECK(train::is_hidden_matrix(table[i]) == expected);
    CHECK((adamw[i] == muon[i]) == !expected);
    hidden += expected;
  }
  CHECK(hidden == 14);
  CHECK(train::second_moments(table, train::OptimizerKind::muon).size() == table.size() - hidden);
  CHECK(train::second_moments(table, train::OptimizerKind::adamw).size() == table.size());
}

TEST_CASE("a tensor learns at its share of the rate, with Muon at the root of it", "[train]") {
  const auto device = runtime::open_device("cpu", 1);
  const Matrix start = random_matrix(16, 16, 8), gradient = random_matrix(16, 16, 9);
  const auto moved = [&](double share, train::OptimizerKind kind) {
    auto table =
        table_of({{"model.layers.0.mlp.up_proj.weight", start}, {"model.embed_tokens.weight", start}});
    table[0].learning_rate_scale = share;
    model::ParameterSet weights(*device, table), gradients(*device, table);
    for (size_t i = 0; i < 2; ++i) write(weights, i, start), write(gradients, i, gradient);
    train::OptimizerOptions options;
    options.kind = kind;
    options.weight_decay = 0;
    train::Optimizer optimizer(*device, table, options);
    optimizer.update(weights, gradients, 1, 0.01, 1);
    std::vector<double> change;
    for (size_t i = 0; i < 2; ++i)
      change.push_back(runtime::read_real(*device, weights.view(i))[0] - start[0][0]);
    return change;
  };
  for (const auto kind : {train::OptimizerKind::adamw, train::OptimizerKind::muon}) {
    const auto whole = moved(1, kind), part = moved(1.0 / 16, kind);
    const double expected = kind == train::OptimizerKind::adamw ? 16 : 4;
    CHECK(whole[0] / part[0] == Approx(expected).epsilon(1e-3));
    CHECK(whole[1] == part[1]);
  }
}

TEST_CASE("a run with Muon learns, and resumes bit for bit with other threads", "[train]") {
  const test::ScratchFolder folder;
  const auto device = runtime::open_device("cpu", 1), other = runtime::open_device("cpu", 3);
  auto options = test::tiny_train(folder.file("run"));
  options.optimizer = train::OptimizerKind::muon;
  test::run_tiny(*device, options);
  const auto lines = train::read_metrics(options.run_dir);
  CHECK(lines.back().at("loss").as_double() < lines.front().at("loss").as_double() - 0.3);
  const std::string last = test::checkpoint_bytes(options.run_dir, 12);
  const auto checkpoint = folder.path() / "run" / "checkpoints" / "step-12";
  const model::SafetensorsReader state((checkpoint / "optimizer.safetensors").string());
  CHECK(state.tensors().contains("m.model.layers.0.mlp.up_proj.weight"));
  CHECK_FALSE(state.tensors().contains("v.model.layers.0.mlp.up_proj.weight"));
  CHECK(state.tensors().contains("v.model.embed_tokens.weight"));
  std::filesystem::remove_all(checkpoint);
  options.resume = true;
  test::run_tiny(*other, options);
  CHECK(test::checkpoint_bytes(options.run_dir, 12) == last);
}
