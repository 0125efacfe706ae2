#include "base/stats.hpp"

#include "support/catch.hpp"

using namespace gristmill;

TEST_CASE("a tool's own counts stand behind the common keys of --stats", "[base]") {
  Stats stats;
  stats.records_in = 3;
  stats.drop("short", 2);
  stats.extra["domains"] = Json::array();
  const Json json = to_json(stats, 1.5, 100);
  CHECK(json.at("records_in") == Json(3));
  CHECK(json.at("dropped").at("short") == Json(2));
  CHECK(json.as_object().back().first == "domains");
}
