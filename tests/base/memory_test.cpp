#include "base/memory.hpp"

#include <filesystem>
#include <string>

#include "base/file.hpp"
#include "support/catch.hpp"
#include "support/scratch.hpp"

using namespace gristmill;

TEST_CASE("the kernel's figure of available memory is read in bytes", "[base]") {
  CHECK(parse_available("MemTotal:  100 kB\nMemAvailable:    2048 kB\n") == 2048U * 1024U);
  CHECK_FALSE(parse_available("MemTotal: 100 kB\n"));
  CHECK_FALSE(parse_available(""));
  REQUIRE(available_memory());
  CHECK(*available_memory() > 1'000'000);
}

TEST_CASE("the tightest control group decides, and cache that can go counts as free", "[base]") {
  const test::ScratchFolder folder;
  const auto group = [&](const std::string& path, const std::string& limit, const std::string& used,
                         const std::string& cache) {
    std::filesystem::create_directories(folder.path() / path);
    write_file(folder.file(path + "/memory.max"), limit + "\n");
    write_file(folder.file(path + "/memory.current"), used + "\n");
    write_file(folder.file(path + "/memory.stat"), "anon 1\ninactive_file " + cache + "\nactive_file 7\n");
  };
  const std::string root = folder.path().string();
  CHECK_FALSE(control_group_room(root, "/"));
  group("job", "1000", "700", "100");
  group("job/step", "max", "50", "0");
  CHECK(control_group_room(root, "/job/step") == 400U);
  group("job/step", "600", "550", "0");
  CHECK(control_group_room(root, "/job/step") == 50U);
  group("job/step", "600", "650", "0");
  CHECK(control_group_room(root, "/job/step") == 0U);
  CHECK(control_group_room(root, "/job") == 400U);
  CHECK_FALSE(control_group_room(root, "/elsewhere"));
}
