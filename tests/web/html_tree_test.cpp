#include "web/html_tree.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "base/rng.hpp"
#include "base/str.hpp"
#include "support/catch.hpp"

using namespace gristmill;
using web::HtmlTree;
using web::parse_html;
using web::Tag;

namespace {

/// "(html(head)(body(p'text')))": the tree in one line.
std::string outline(const HtmlTree& tree, uint32_t node = 1) {
  if (tree[node].tag == Tag::text) return str("'", tree[node].text, "'");
  std::string out = str("(", tree[node].text);
  for (uint32_t child = node + 1; child < tree[node].end; child = tree[child].end)
    out += outline(tree, child);
  return out + ")";
}

/// What every pass relies on: ends nest, parents come first, depth is bounded.
void check_shape(const HtmlTree& tree, uint32_t max_depth) {
  bool sound = tree.size() > 0 && tree[0].end == tree.size() && tree[0].parent == 0;
  uint32_t deepest = 0;
  std::vector<uint32_t> depth(tree.size());
  for (uint32_t node = 1; node < tree.size(); ++node) {
    const uint32_t parent = tree[node].parent;
    sound = sound && parent < node && tree[node].end > node && tree[node].end <= tree[parent].end;
    depth[node] = depth[parent] + 1;
    deepest = std::max(deepest, depth[node]);
  }
  CHECK(sound);
  CHECK(deepest <= max_depth + 8);
}

std::string repeated(std::string_view part, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += part;
  return out;
}

}  // namespace

TEST_CASE("a page becomes the tree that the standard describes", "[web]") {
  CHECK(outline(parse_html("<title>t</title><p>a<b>c</p>d<table><tr><td>x<td>y</table>")) ==
        "(html(head(title't'))(body(p'a'(b'c'))(b'd'(table(tbody(tr(td'x')(td'y')))))))");
  CHECK(outline(parse_html("")) == "(html(head)(body))");
  CHECK(outline(parse_html("a &amp; b&eacute;<!-- c --><br>")) == "(html(head)(body'a & b\xC3\xA9'(br)))");
}

TEST_CASE("attributes have lower-case names and resolved values", "[web]") {
  const HtmlTree tree = parse_html("<div CLASS='A b' data-x=1&amp;2 hidden>x</div>");
  const uint32_t div = tree.find(Tag::div);
  REQUIRE(div < tree.size());
  CHECK(tree.attribute(div, "class") == "A b");
  CHECK(tree.attribute(div, "data-x") == "1&2");
  CHECK(tree.has_attribute(div, "hidden"));
  CHECK(tree.attribute(div, "hidden").empty());
  CHECK_FALSE(tree.has_attribute(div, "id"));
  CHECK(tree.find(Tag::table) == tree.size());
}

TEST_CASE("every tag of the table is found by its name", "[web]") {
  CHECK(web::tag_of_name("a") == Tag::a);
  CHECK(web::tag_of_name("blockquote") == Tag::blockquote);
  CHECK(web::tag_of_name("template") == Tag::template_);
  CHECK(web::tag_of_name("wbr") == Tag::wbr);
  CHECK(web::tag_of_name("x-y") == Tag::other);
  CHECK(web::tag_of_name("") == Tag::other);
}

TEST_CASE("limits hold, and text below the deepest element stays", "[web]") {
  const HtmlTree deep =
      parse_html(repeated("<div>", 100000) + "kept" + repeated("</div>", 100000) + "<p>after");
  check_shape(deep, 512);
  CHECK(outline(deep).find("'kept'") != std::string::npos);
  CHECK(outline(deep).find("(body(div") != std::string::npos);
  CHECK(outline(deep).find("(p'after')))") !=
        std::string::npos);  // after as many ends the p is back in the body
  web::HtmlLimits limits;
  limits.max_nodes = 1000;
  limits.max_attributes = 3;
  const HtmlTree wide = parse_html("<p a b c d e>" + repeated("<b>x</b>", 5000), limits);
  CHECK(wide.size() <= 1000);
  CHECK(wide.attributes(wide.find(Tag::p)).size() == 3);
}

TEST_CASE("hostile pages are parsed in linear time", "[web]") {
  const std::string pages[] = {repeated("<div>", 200000),
                               repeated("<p><b x=" + std::string("1>"), 50000),
                               "<div class='" + std::string(5 << 20, 'x') + "'>y",
                               repeated("<table>", 20000),
                               repeated("<table><font>", 20000),
                               repeated("<select><option>", 50000),
                               repeated("<svg><g>", 50000),
                               repeated("</div></p></b>", 100000),
                               repeated("<a href=x>", 100000),
                               repeated("<", 500000),
                               repeated("&", 500000),
                               repeated("<!--", 300000),
                               "<div " + repeated("a=1 ", 100000) + ">"};
  for (const auto& page : pages) {
    CAPTURE(page.substr(0, 30));
    const auto start = std::chrono::steady_clock::now();
    check_shape(parse_html(page), 512);
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));  // quadratic ones take minutes
  }
}

TEST_CASE("no mutation of a page breaks the tree", "[web]") {
  const std::string seed =
      "<!DOCTYPE html><html lang=en><head><title>t</title><meta "
      "charset=utf-8></head><body><table><tr><td>a<td>b</table>"
      "<p>x<a "
      "href='y'>z</a><ul><li>1<li>2</ul><svg><path/></svg><select><option>o</select><template><p>t</"
      "template>";
  Rng random(3, stream_of(RandomStream::test));
  for (int round = 0; round < 2000; ++round) {
    std::string page = seed;
    for (int edit = 0; edit < 6; ++edit) {
      const size_t at = static_cast<size_t>(random.below(page.size()));
      const size_t from = static_cast<size_t>(random.below(page.size()));
      if (edit % 3 == 0) page[at] = "<>/'\"=& a\0\x80"[random.below(12)];
      if (edit % 3 == 1) page.insert(at, page.substr(from, static_cast<size_t>(random.below(30))));
      if (edit % 3 == 2) page.erase(at, static_cast<size_t>(random.below(8)));
    }
    const HtmlTree tree = parse_html(page);
    bool sound = tree[0].end == tree.size();
    for (uint32_t node = 1; node < tree.size(); ++node)
      sound = sound && tree[node].end <= tree[tree[node].parent].end;
    REQUIRE(sound);
  }
}
