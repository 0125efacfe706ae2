// The worked cases of published post-training formulas, in double (1e-6) and with inputs rounded to float
// (1e-4).

#include <cmath>
#include <map>

#include "align/policy_gradient.hpp"
#include "align/preference_loss.hpp"
#include "base/json.hpp"
#include "runtime/backend.hpp"
#include "runtime/device.hpp"
#include "support/data.hpp"

using namespace gristmill;
using namespace gristmill::align;

namespace {

const Json& case_named(const Json& all, const std::string& name) {
  for (const auto& item : all.at("cases").as_array()) {
    if (item.at("name").as_string() == name) return item;
  }
  FAIL("no case " + name);
  return all;
}

/// Numbers as a model would give them: in double, or rounded to float.
struct Precision {
  bool single;
  double tolerance() const { return single ? 1e-4 : 1e-6; }
  double operator()(double value) const {
    return single ? static_cast<double>(static_cast<float>(value)) : value;
  }
};

std::vector<double> numbers(const Json& json, Precision precision = {false}) {
  std::vector<double> out;
  for (const auto& item : json.as_array()) out.push_back(precision(item.as_double()));
  return out;
}

void check_all(const std::vector<double>& got, const Json& want, double tolerance) {
  const auto expected = numbers(want);
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) CHECK(got[i] == Approx(expected[i]).margin(tolerance));
}

void check_dpo(const Json& item, const std::string& key, const DpoLossOptions& options, Precision precision) {
  INFO(key);
  const Json& in = item.at("inputs");
  const auto pw = numbers(in.at("policy_chosen"), precision),
             pl = numbers(in.at("policy_rejected"), precision);
  const auto rw = numbers(in.at("ref_chosen"), precision), rl = numbers(in.at("ref_rejected"), precision);
  const auto lw = numbers(in.at("len_chosen")), ll = numbers(in.at("len_rejected"));
  std::vector<double> losses, chosen, rejected;
  double mean = 0;
  const auto count = static_cast<double>(pw.size());
  for (size_t i = 0; i < pw.size(); ++i) {
    const auto loss = dpo_loss(
        {pw[i], pl[i], rw[i], rl[i], static_cast<int64_t>(lw[i]), static_cast<int64_t>(ll[i])}, options);
    losses.push_back(loss.loss);
    chosen.push_back(loss.d_chosen / count);
    rejected.push_back(loss.d_rejected / count);
    mean += loss.loss / count;
  }
  const Json& want = item.at("outputs").at(key);
  // Squares of margins around 5/β carry the rounding of their inputs.
  const double scale = options.loss == DpoLoss::ipo || options.loss == DpoLoss::ipo_average ? 10 : 1;
  check_all(losses, want.at("per_pair"), precision.tolerance() * scale);
  check_all(chosen, want.at("grad_policy_chosen"), precision.tolerance() * scale);
  check_all(rejected, want.at("grad_policy_rejected"), precision.tolerance() * scale);
  CHECK(mean == Approx(want.at("loss").as_double()).margin(precision.tolerance() * scale));
}

}  // namespace

TEST_CASE("the DPO family gives the published losses and gradients", "[align]") {
  REQUIRE_EXTERNAL_DATA(path, "posttrain/known_answers.json");
  const Json all = read_json_file(path);
  const Json item = case_named(all, "dpo_family");
  for (const bool single : {false, true}) {
    const Precision p{single};
    check_dpo(item, "dpo_sigmoid", {DpoLoss::sigmoid, 0.1, 0}, p);
    check_dpo(item, "dpo_sigmoid_beta0.5", {DpoLoss::sigmoid, 0.5, 0}, p);
    check_dpo(item, "cdpo_label_smoothing0.1", {DpoLoss::sigmoid, 0.1, 0.1}, p);
    check_dpo(item, "robust_dpo_eps0.1", {DpoLoss::robust, 0.1, 0.1}, p);
    check_dpo(item, "hinge_slic", {DpoLoss::hinge, 0.1, 0}, p);
    check_dpo(item, "hinge_beta0.5", {DpoLoss::hinge, 0.5, 0}, p);
    check_dpo(item, "ipo_sum", {DpoLoss::ipo, 0.1, 0}, p);
    check_dpo(item, "ipo_token_avg", {DpoLoss::ipo_average, 0.1, 0}, p);
    check_dpo(item, "dpo_length_normalised", {DpoLoss::sigmoid_norm, 0.1, 0}, p);
  }
}

TEST_CASE("Bradley-Terry with margin and centring gives the published answers", "[align]") {
  REQUIRE_EXTERNAL_DATA(path, "posttrain/known_answers.json");
  const Json all = read_json_file(path);
  const Json item = case_named(all, "bradley_terry");
  const Json& out = item.at("outputs");
  for (const bool single : {false, true}) {
    const Precision p{single};
    const auto w = numbers(item.at("inputs").at("r_chosen"), p),
               l = numbers(item.at("inputs").at("r_rejected"), p);
    const auto margin = numbers(item.at("inputs").at("margin"), p);
    const auto run = [&](bool with_margin, double centering, const std::string& loss_key,
                         const std::string& suffix) {
      double mean = 0;
      std::vector<double> chosen, rejected;
      const auto count = static_cast<double>(w.size());
      for (size_t i = 0; i < w.size(); ++i) {
        const auto loss = bradley_terry_loss(w[i], l[i], with_margin ? margin[i] : 0, centering);
        mean += loss.loss / count;
        chosen.push_back(loss.d_chosen / count);
        rejected.push_back(loss.d_rejected / count);
      }
      CHECK(mean == Approx(out.at(loss_key).as_double()).margin(p.tolerance()));
      check_all(chosen, out.at("grad_chosen" + suffix), p.tolerance());
      if (const Json* want = out.find("grad_rejected" + suffix)) check_all(rejected, *want, p.tolerance());
    };
    run(false, 0, "loss", "");
    run(true, 0, "loss_margin", "_margin");
    run(false, item.at("inputs").at("center_coef").as_double(), "loss_centered", "_centered");
  }
}

TEST_CASE("token rewards, advantages and whitening give the published answers", "[align]") {
  REQUIRE_EXTERNAL_DATA(path, "posttrain/known_answers.json");
  const Json all = read_json_file(path);
  for (const bool single : {false, true}) {
    const Precision p{single};
    const Json rewards = case_named(all, "ppo_token_rewards");
    for (const char* name : {"A", "B"}) {
      const Json& in = rewards.at("inputs").at(name);
      const auto got = token_rewards(numbers(in.at("logp"), p), numbers(in.at("ref"), p),
                                     p(in.at("score").as_double()), in.at("has_eos").as_bool(), {0.05, 1.0});
      check_all(got, rewards.at("outputs").at(name), p.tolerance());
    }
    const Json gae = case_named(all, "gae");
    const auto r = numbers(gae.at("inputs").at("rewards"), p), v = numbers(gae.at("inputs").at("values"), p);
    const std::map<std::string, std::pair<double, double>> settings = {{"gamma1.0_lam0.95", {1, 0.95}},
                                                                       {"gamma0.99_lam0.95", {0.99, 0.95}},
                                                                       {"gamma1.0_lam1.0", {1, 1}},
                                                                       {"gamma1.0_lam0.0", {1, 0}}};
    for (const auto& [key, setting] : settings) {
      const auto got = generalised_advantages(r, v, setting.first, setting.second);
      check_all(got.advantages, gae.at("outputs").at(key).at("advantages"), p.tolerance());
      check_all(got.returns, gae.at("outputs").at(key).at("returns"), p.tolerance());
    }
    const Json white = case_named(all, "masked_whiten");
    auto values = numbers(white.at("inputs").at("values"), p);
    auto kept = values;
    whiten(values);
    whiten(kept, true);
    check_all(values, white.at("outputs").at("whiten_unbiased"), p.tolerance());
    check_all(kept, white.at("outputs").at("whiten_unbiased_keep_mean"), p.tolerance());
  }
}

TEST_CASE("PPO's policy and value losses give the published answers", "[align]") {
  REQUIRE_EXTERNAL_DATA(path, "posttrain/known_answers.json");
  const Json all = read_json_file(path);
  const Json item = case_named(all, "ppo_losses");
  const Json& in = item.at("inputs");
  const Json& out = item.at("outputs");
  for (const bool single : {false, true}) {
    const Precision p{single};
    const auto old = numbers(in.at("old_logp"), p), now = numbers(in.at("new_logp"), p),
               adv = numbers(in.at("adv"), p);
    const auto old_v = numbers(in.at("old_values"), p), v = numbers(in.at("new_values"), p),
               ret = numbers(in.at("returns"), p);
    const auto mask = numbers(in.at("mask"));
    double policy = 0, value = 0, tokens = 0, clipped = 0, value_clipped = 0;
    std::vector<double> d_policy, d_value;
    for (const double bit : mask) tokens += bit;
    for (size_t i = 0; i < mask.size(); ++i) {
      const auto pt = policy_term(now[i], old[i], adv[i], 0.2);
      const auto vt = value_term(v[i], old_v[i], ret[i], 0.2);
      policy += mask[i] * pt.loss / tokens;
      value += mask[i] * vt.loss / tokens;
      clipped += mask[i] * (pt.clipped ? 1 : 0) / tokens;
      value_clipped += mask[i] * (vt.clipped ? 1 : 0) / tokens;
      d_policy.push_back(mask[i] * pt.d_log_prob / tokens);
      d_value.push_back(mask[i] * vt.d_value / tokens);
    }
    CHECK(policy == Approx(out.at("pg_loss").as_double()).margin(p.tolerance()));
    CHECK(value == Approx(out.at("vf_loss").as_double()).margin(p.tolerance()));
    CHECK(policy + 0.1 * value == Approx(out.at("total").as_double()).margin(p.tolerance()));
    CHECK(clipped == Approx(out.at("clipfrac").as_double()).margin(1e-12));
    CHECK(value_clipped == Approx(out.at("vf_clipfrac").as_double()).margin(1e-12));
    check_all(d_policy, out.at("dpg_dnew_logp"), p.tolerance());
    check_all(d_value, out.at("dvf_dnew_values"), p.tolerance());
  }
}

TEST_CASE("KL estimators and the adaptive coefficient give the published answers", "[align]") {
  REQUIRE_EXTERNAL_DATA(path, "posttrain/known_answers.json");
  const Json all = read_json_file(path);
  const Json item = case_named(all, "kl_estimators");
  const auto p = numbers(item.at("inputs").at("p")), q = numbers(item.at("inputs").at("q"));
  std::vector<double> k1, k2, k3;
  double mean_k1 = 0, mean_k3 = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    k1.push_back(kl_k1(std::log(p[i]), std::log(q[i])));
    k2.push_back(kl_k2(std::log(p[i]), std::log(q[i])));
    k3.push_back(kl_k3(std::log(p[i]), std::log(q[i])));
    mean_k1 += p[i] * k1.back();
    mean_k3 += p[i] * k3.back();
  }
  check_all(k1, item.at("outputs").at("k1"), 1e-6);
  check_all(k2, item.at("outputs").at("k2"), 1e-6);
  check_all(k3, item.at("outputs").at("k3"), 1e-6);
  CHECK(mean_k1 == Approx(item.at("outputs").at("kl_p_q").as_double()).margin(1e-6));
  CHECK(mean_k3 == Approx(item.at("outputs").at("kl_p_q").as_double()).margin(1e-6));

  const Json adaptive = case_named(all, "adaptive_kl");
  AdaptiveKl kl(0.2, 6, 10000);
  std::vector<double> coefficients;
  for (const double seen : numbers(adaptive.at("inputs").at("kl_seen"))) {
    kl.update(seen, 64);
    coefficients.push_back(kl.coefficient());
  }
  check_all(coefficients, adaptive.at("outputs").at("coef_after"), 1e-6);
}

TEST_CASE("the head gives the masked likelihoods, entropies and gradients of the worked SFT case",
          "[align]") {
  REQUIRE_EXTERNAL_DATA(path, "posttrain/known_answers.json");
  const Json all = read_json_file(path);
  const Json item = case_named(all, "sft_masked_nll");
  const auto& rows = item.at("inputs").at("logits").as_array();
  const auto count = static_cast<int64_t>(rows.size()),
             vocab = static_cast<int64_t>(rows[0].as_array().size());
  std::vector<double> logits, identity(static_cast<size_t>(vocab * vocab), 0), weights;
  for (const auto& row : rows) {
    for (const auto& value : row.as_array()) logits.push_back(value.as_double());
  }
  for (int64_t i = 0; i < vocab; ++i) identity[static_cast<size_t>(i * (vocab + 1))] = 1;
  std::vector<int32_t> labels;
  for (const double label : numbers(item.at("inputs").at("labels")))
    labels.push_back(static_cast<int32_t>(label));
  const auto mask = numbers(item.at("inputs").at("mask"));
  double targets = 0;
  for (const double bit : mask) targets += bit;
  for (const double bit : mask) weights.push_back(-bit / targets);

  for (const auto dtype : {runtime::DType::f64, runtime::DType::f32}) {
    const auto device =
        dtype == runtime::DType::f64 ? runtime::open_reference_device(dtype) : runtime::open_device("cpu", 1);
    const double tolerance = dtype == runtime::DType::f64 ? 1e-6 : 1e-4;
    const auto make = [&](int64_t r, int64_t c) { return runtime::Buffer(*device, device->real(), r, c); };
    const auto hidden = make(count, vocab), weight = make(vocab, vocab), d_hidden = make(count, vocab),
               d_weight = make(vocab, vocab), log_prob = make(count, 1), entropy = make(count, 1),
               d_log_prob = make(count, 1);
    const runtime::Buffer ids(*device, runtime::DType::i32, count, 1);
    runtime::write_real(*device, hidden.view(), logits);
    runtime::write_real(*device, weight.view(), identity);
    runtime::write_real(*device, d_log_prob.view(), weights);
    runtime::write_ints(*device, ids.view(), labels);
    device->backend().head_backward(d_hidden.view(), true, d_weight.view(),
                                    {log_prob.view(), {}, entropy.view()}, hidden.view(), weight.view(),
                                    ids.view(), {d_log_prob.view(), {}, {}}, 1);
    check_all(runtime::read_real(*device, log_prob.view()), item.at("outputs").at("token_logps"), tolerance);
    check_all(runtime::read_real(*device, entropy.view()), item.at("outputs").at("token_entropy"), tolerance);
    const auto gradient = runtime::read_real(*device, d_hidden.view());
    size_t at = 0;
    for (const auto& row : item.at("outputs").at("dloss_dlogits").as_array()) {
      for (const double want : numbers(row)) CHECK(gradient[at++] == Approx(want).margin(tolerance));
    }
  }
}

TEST_CASE("gradient descent on the population DPO loss reaches the KL-regularised optimum", "[align]") {
  REQUIRE_EXTERNAL_DATA(path, "posttrain/known_answers.json");
  const Json all = read_json_file(path);
  const Json item = case_named(all, "kl_regularised_optimum");
  const double beta = 0.5;
  std::vector<double> reference, reward, optimum, log_policy;
  const Json& pi = item.at("outputs").at("by_beta").at("0.5").at("pi");
  for (const auto& [sequence, probability] : item.at("outputs").at("ref_probs").as_object()) {
    reference.push_back(probability.as_double());
    reward.push_back(item.at("outputs").at("rewards").at(sequence).as_double());
    optimum.push_back(pi.at(sequence).as_double());
    log_policy.push_back(std::log(reference.back()));
  }
  const size_t n = reference.size();
  for (int iteration = 0; iteration < 4000; ++iteration) {
    std::vector<double> gradient(n, 0);
    for (size_t w = 0; w < n; ++w) {
      for (size_t l = 0; l < n; ++l) {
        if (w == l) continue;
        // The chance that w and l are drawn and w is preferred.
        const double weight = reference[w] * reference[l] * sigmoid(reward[w] - reward[l]);
        const auto loss =
            dpo_loss({log_policy[w], log_policy[l], std::log(reference[w]), std::log(reference[l]), 1, 1},
                     {DpoLoss::sigmoid, beta, 0});
        gradient[w] += weight * loss.d_chosen;
        gradient[l] += weight * loss.d_rejected;
      }
    }
    for (size_t i = 0; i < n; ++i) log_policy[i] -= gradient[i] / (reference[i] * 0.25);
  }
  double total = 0, distance = 0;
  for (const double value : log_policy) total += std::exp(value);
  for (size_t i = 0; i < n; ++i) distance += 0.5 * std::abs(std::exp(log_policy[i]) / total - optimum[i]);
  CHECK(distance < 1e-3);
}
