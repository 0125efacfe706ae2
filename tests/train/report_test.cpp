#include "train/report.hpp"

#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using namespace gristmill;

namespace {

std::vector<std::string> titles(const std::vector<train::Chart>& charts) {
  std::vector<std::string> names;
  for (const auto& chart : charts) names.push_back(chart.title);
  return names;
}

}  // namespace

TEST_CASE("each figure finds its chart, and what is not known is left out", "[train]") {
  const std::vector<Json> lines = {
      Json::parse(
          R"({"step":1,"tokens":64,"loss":3,"lr":0.1,"grad_norm":2,"mfu":null,"memory":9,"z_loss":0.01})"),
      Json::parse(R"({"step":2,"loss":null,"mfu":0.5,"val_loss":4,"rewards/chosen":1,"rewards/margins":2})"),
      Json::parse(R"({"no step":1,"loss":7})")};
  const auto charts = train::metric_charts(lines);
  CHECK(titles(charts) == std::vector<std::string>{"loss", "learning rate", "gradient norm", "z-loss",
                                                   "share of the peak (MFU)", "rewards"});
  REQUIRE(charts[0].series.size() == 2);
  CHECK(charts[0].series[0].points == std::vector<std::pair<double, double>>{{1, 3}});
  CHECK(charts[0].series[1].points == std::vector<std::pair<double, double>>{{2, 4}});
  CHECK(charts[4].series[0].points == std::vector<std::pair<double, double>>{{2, 0.5}});
  CHECK(charts[5].series.size() == 2);
}

TEST_CASE("a chart draws its points between its axes and escapes its words", "[train]") {
  const train::Chart chart = {"a < b", {{"x & y", {{0, 1}, {10, 3}}}}};
  const std::string drawing = train::render_chart(chart);
  CHECK(drawing.find("a &lt; b") != std::string::npos);
  CHECK(drawing.find("x &amp; y") != std::string::npos);
  CHECK(drawing.find("<svg") == 0);
  CHECK(train::render_chart({"empty", {{"nothing", {}}}}).empty());
  const std::string page = train::render_report("run", {{"lr", "0.1"}}, {chart});
  CHECK(page.find("<td>lr</td><td>0.1</td>") != std::string::npos);
}
