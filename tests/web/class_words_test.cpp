#include "web/class_words.hpp"

#include <string>

#include "support/catch.hpp"

using namespace gristmill;

TEST_CASE("a class name longer than any known word says nothing and harms nothing", "[web]") {
  CHECK(web::class_signals(std::string(500, 'x') + "-block") == 0);
  CHECK(web::class_signals("a-b-c-d-e-f-g-h-i-j-k-l-m-n-o-p") == 0);
  std::string many = "sidebar";
  for (int i = 0; i < 60; ++i) many += "-word";
  CHECK(web::class_signals(many) == 0);
}
