#include "train/export.hpp"

#include <filesystem>
#include <string>

#include "base/error.hpp"
#include "base/file.hpp"
#include "model/model_directory.hpp"
#include "support/catch.hpp"
#include "support/scratch.hpp"
#include "train/train_fixtures.hpp"
#include "train/trainer.hpp"

using namespace gristmill;
namespace fs = std::filesystem;

namespace {

train::ExportOptions to(const std::string& directory) {
  train::ExportOptions options;
  options.directory = directory;
  return options;
}

}  // namespace

TEST_CASE("an export stands beside its run directory, by whatever path", "[train]") {
  const test::ScratchFolder folder;
  fs::create_directories(folder.path() / "runs" / "a");
  fs::create_directory_symlink(folder.path() / "runs", folder.path() / "link");
  const std::string run = folder.file("runs/a");
  const auto refused = [&](const std::string& directory, const char* how) {
    CAPTURE(directory);
    CHECK_THROWS_WITH(train::check_export(to(directory), run), test::contains(how));
  };
  refused(run, " is the run directory");
  refused(run + "/", " is the run directory");
  refused(folder.file("link/a"), " is the run directory");
  refused(folder.file("runs/a/model"), " lies in the run directory");
  refused(folder.file("link/b/../a/checkpoints/model"), " lies in the run directory");
  refused(folder.file("runs"), " holds the run directory");
  refused(folder.file("."), " holds the run directory");
  CHECK_NOTHROW(train::check_export(to(folder.file("runs/ab")), run));
  CHECK_NOTHROW(train::check_export(to(folder.file("runs/b/new")), run));
  CHECK_THROWS_WITH(train::check_export(to(folder.file("x")), folder.file("x.saving")),
                    test::contains("first written over the run directory"));
  CHECK_NOTHROW(train::check_export({}, run));
}

TEST_CASE("an export's type and size need a folder", "[train]") {
  train::ExportOptions options;
  options.form_given = true;
  CHECK_THROWS_WITH(train::check_export(options, "run"), test::contains("of no use without --export"));
  options.directory = "there-is-none";
  CHECK_NOTHROW(train::check_export(options, "run"));
}

TEST_CASE("an export replaces what a killed one left, and nothing else", "[train]") {
  const test::ScratchFolder folder;
  const auto device = runtime::open_device("cpu", 1);
  const model::Transformer model(*device, test::tiny_config());
  const auto options = to(folder.file("out"));
  const fs::path saving = folder.path() / "out.saving";
  fs::create_directory(saving);
  for (const char* left : {"model.safetensors", "model-00001-of-00002.safetensors", "tokenizer.json",
                           "model-00002-of-00002.safetensors.tmp.123.4", "config.json.tmp.123.5"}) {
    write_file((saving / left).string(), "half");
  }
  const auto refused = [&](const char* how) {
    CHECK_THROWS_WITH(train::check_export(options, folder.file("run")), test::contains(how));
    CHECK_THROWS_WITH(train::export_model(model, "", options), test::contains(how));
    CHECK(fs::exists(saving));
    CHECK_FALSE(fs::exists(folder.path() / "out"));
  };
  for (const char* foreign : {"config.json", "notes.txt"}) {
    write_file((saving / foreign).string(), "{}");
    refused(foreign);
    fs::remove(saving / foreign);
  }
  fs::create_directory(folder.path() / "out");  // an empty folder is taken
  CHECK_NOTHROW(train::check_export(options, folder.file("run")));
  train::export_model(model, "", options);
  CHECK_FALSE(fs::exists(saving));
  CHECK(read_file(folder.file("out/model.safetensors")).size() > 4);
  CHECK(model::load_config(folder.file("out")) == model.config());
  CHECK_FALSE(fs::exists(folder.path() / "out" / "model-00001-of-00002.safetensors"));
  CHECK_FALSE(fs::exists(folder.path() / "out" / "tokenizer.json"));
  CHECK_THROWS_WITH(train::check_export(options, folder.file("run")), test::contains("is there already"));

  fs::remove_all(folder.path() / "out");
  write_file(saving.string(), "a file");
  refused("is a file");
}

TEST_CASE("an export that cannot be finished leaves nothing", "[train]") {
  const test::ScratchFolder folder;
  const auto device = runtime::open_device("cpu", 1);
  const model::Transformer model(*device, test::tiny_config());
  CHECK_THROWS_AS(train::export_model(model, folder.file("no-tokenizer"), to(folder.file("a"))), Error);
  fs::create_directory(folder.path() / "b");
  write_file(folder.file("b/taken"), "");
  CHECK_THROWS_AS(train::export_model(model, "", to(folder.file("b"))), Error);
  CHECK(fs::exists(folder.path() / "b" / "taken"));
  for (const char* left : {"a", "a.saving", "b.saving"}) CHECK_FALSE(fs::exists(folder.path() / left));
}

TEST_CASE("what is wrong with a run's folders is said before it starts", "[train]") {
  const test::ScratchFolder folder;
  auto options = test::tiny_train(folder.file("run"));
  CHECK_NOTHROW(train::check_start(options));
  options.export_to.directory = folder.file("run/model");
  CHECK_THROWS_WITH(train::check_start(options), test::contains("lies in the run directory"));
  options.export_to.directory.clear();
  options.beta2 = 1;
  CHECK_THROWS_WITH(train::check_start(options), test::contains("--beta2"));
  options.beta2 = 0.9;
  fs::create_directories(folder.path() / "run" / "checkpoints");
  CHECK_THROWS_WITH(train::check_start(options), test::contains("holds a run already"));
  options.resume = true;
  CHECK_NOTHROW(train::check_start(options));
}
