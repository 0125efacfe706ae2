#include "base/job_array.hpp"

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/streams.hpp"

using namespace gristmill;

TEST_CASE("the parts of a job array cover the inputs in order, each once", "[base]") {
  std::vector<std::string> inputs;
  for (int i = 0; i < 11; ++i) inputs.push_back(str("file", i));
  for (const uint64_t count : {1, 2, 3, 11, 12, 100}) {
    std::vector<std::string> all;
    for (uint64_t i = 0; i < count; ++i) {
      const auto part = inputs_of_part({i, count}, inputs);
      CHECK(part.size() <= (inputs.size() + count - 1) / count);
      all.insert(all.end(), part.begin(), part.end());
    }
    CHECK(all == inputs);
  }
}

TEST_CASE("a part is I/N with I below N, and nothing else", "[base]") {
  CHECK(parse_array_part("0/1").count == 1);
  CHECK(parse_array_part("3/4").index == 3);
  for (const std::string text : {"", "1", "4/4", "-1/4", "1/0", "1/2/3", "a/b", "1/ 2", "slurmy"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_array_part(text), Error);
  }
}

TEST_CASE("slurm's variables give the part, counted from the array's first task", "[base]") {
  CHECK_THROWS_WITH(parse_array_part("slurm"), test::contains("SLURM_ARRAY_TASK_ID"));
  const test::ScopedVariable id("SLURM_ARRAY_TASK_ID", "3"), first("SLURM_ARRAY_TASK_MIN", "1"),
      count("SLURM_ARRAY_TASK_COUNT", "4");
  CHECK(parse_array_part("slurm").index == 2);
  CHECK(parse_array_part("slurm").count == 4);
}
