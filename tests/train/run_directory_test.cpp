#include "train/run_directory.hpp"

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "model/model_directory.hpp"
#include "support/catch.hpp"
#include "support/scratch.hpp"
#include "train/train_fixtures.hpp"

using namespace gristmill;

TEST_CASE("a run directory is one process's at a time", "[train]") {
  const test::ScratchFolder folder;
  const std::string run = folder.file("run");
  {
    const auto lock = train::open_run_directory(run, false);
    CHECK_THROWS_WITH(train::open_run_directory(run, true), test::contains("another process is training"));
  }
  CHECK_NOTHROW(train::open_run_directory(run, true));
}

TEST_CASE("records differ in what changes weights, at any depth they have", "[train]") {
  const Json before = Json::parse(R"({"lr": 1, "recompute": "none", "about": {"epsilon": 1}})");
  CHECK(train::differences(before, before).empty());
  CHECK(train::differences(before, Json::parse(R"({"lr": 1, "recompute": "block", "about": {"epsilon": 1}})"))
            .empty());
  CHECK(
      train::differences(before, Json::parse(R"({"lr": 2, "about": {"epsilon": 3}, "val": "x"})")) ==
      std::vector<std::string>{"lr (was 1, now 2)", "epsilon (was 1, now 3)", "val (was absent, now \"x\")"});
}

TEST_CASE("a checkpoint of a step that cannot be is refused by name", "[train]") {
  const test::ScratchFolder folder;
  const auto device = runtime::open_device("cpu", 1);
  auto options = test::tiny_train(folder.file("run"));
  test::run_tiny(*device, options);
  const std::string state = model::last_checkpoint(options.run_dir) + "/trainer.json";
  const Json good = read_json_file(state, 1 << 20);
  options.resume = true;
  const auto resume_with = [&](const char* key, const Json& value) {
    Json changed = good;
    changed[key] = value;
    write_file(state, changed.dump());
    test::run_tiny(*device, options);
  };
  CHECK_THROWS_WITH(resume_with("step", -5), test::contains("trainer.json: step or tokens are below 0"));
  CHECK_THROWS_WITH(resume_with("tokens", -1), test::contains("trainer.json: step or tokens are below 0"));
  CHECK_THROWS_WITH(resume_with("options", Json::array()), test::contains("trainer.json: "));
  CHECK_THROWS_WITH(resume_with("step", int64_t{1} << 60), test::contains("of a run of"));
  CHECK_NOTHROW(resume_with("step", good.at("step")));
}
