#include "web/extract.hpp"

#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <unordered_map>
#include <vector>

#include "base/file.hpp"
#include "base/json.hpp"
#include "base/str.hpp"
#include "support/data.hpp"
#include "text/unicode.hpp"
#include "text/utf8.hpp"
#include "web/charset.hpp"
#include "web/class_words.hpp"
#include "web/text_writer.hpp"

using namespace gristmill;

namespace {

std::string text_of(const std::string& body) {
  const auto tree = web::parse_html(body);
  return web::write_text(tree, tree.find(web::Tag::body), std::vector<bool>(tree.size()));
}

std::string extract(const std::string& page) { return web::extract_text(web::parse_html(page)); }

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

const std::string kParagraph =
    "The quick brown fox jumps over the lazy dog, and then it rests in the shade of an old tree for a "
    "while. ";
const std::string kStory = "<p>" + kParagraph + kParagraph + "</p><p>" + kParagraph + kParagraph + "</p>";

}  // namespace

TEST_CASE("blocks end lines and inline elements do not", "[web]") {
  CHECK(text_of("<p>one  two\n three</p>four<div>five<span>six</span> seven</div>") ==
        "one two three\nfour\nfivesix seven\n");
  CHECK(text_of("most<a href=x>critical</a>, <nobr>kept</nobr> H<sub>2</sub>O a<wbr>b") ==
        "mostcritical, kept H2O ab\n");
  CHECK(text_of("a<br>b<br><br>c<hr>d") == "a\nb\nc\nd\n");
  CHECK(text_of("<h1>Title</h1><p>text") == "Title\ntext\n");
  CHECK(text_of("  <p> </p>  ").empty());
}

TEST_CASE("lists have bullets and depth, cells have tabs", "[web]") {
  CHECK(text_of("<ul><li>a<li><p>b</p><ul><li>c</ul><li>d</ul>") == "- a\n- b\n  - c\n- d\n");
  CHECK(text_of("<ol><li>x</ol>y") == "- x\ny\n");
  CHECK(text_of("<table><tr><th>k<th>v<tr><td>1<td><b>2</b></table>") == "k\tv\n1\t2\n");
}

TEST_CASE("preformatted text keeps its white space", "[web]") {
  CHECK(text_of("<pre>int  a;\n  if (x)\n\n    y;  \n</pre>z  z") == "int  a;\n  if (x)\n    y;\nz z\n");
}

TEST_CASE("special spaces are spaces and invisible characters vanish", "[web]") {
  CHECK(text_of("a&nbsp;b c&shy;d e&#x200B;f g&#x2060;h \xC2\x85i\x7F") == "a b cd ef gh i\n");
  CHECK(text_of("caf\xC3\xA9 \xE2\x80\x93 \xE2\x82\xAC") == "caf\xC3\xA9 \xE2\x80\x93 \xE2\x82\xAC\n");
}

TEST_CASE("class names are matched as words, pairs and wholes", "[web]") {
  using namespace web;
  CHECK(class_signals("nav-menu") == kBoilerplate);
  CHECK(class_signals("x site__footer--dark") == kBoilerplate);
  CHECK(class_signals("siteFooter") == kBoilerplate);
  CHECK(class_signals("menu") == kBoilerplate);
  CHECK(class_signals("menu-of-the-day") == 0);
  CHECK(class_signals("post-content") == kContentBody);
  CHECK(class_signals("td_post_content tagdiv") == kContentBody);
  CHECK(class_signals("sidebar") == kSidebar);
  CHECK(class_signals("has-sidebar no-footer") == 0);
  CHECK(class_signals("d-none") == kHidden);
  CHECK(class_signals("d-none d-md-block") == 0);
  CHECK(class_signals("hidden md:flex") == 0);
  CHECK(class_signals("md:hidden overflow-hidden field--label-hidden") == 0);
  CHECK(class_signals("") == 0);
  CHECK(class_signals("   ") == 0);
  CHECK(class_signals(std::string(10000, 'a') + " menu") == kBoilerplate);
  CHECK(class_signals("a-b-c-d-e-f-g-h-i-j-k-l-m-n-footer menu") == kBoilerplate);
}

TEST_CASE("navigation, footers, scripts and hidden parts are not text", "[web]") {
  const std::string text = extract(
      "<body><nav><a href=/>Home</a> <a href=/x>Products</a></nav><div class='share-buttons'>Tweet this</div>"
      "<main><h1>A title</h1>" +
      kStory +
      "<script>var x = 'no';</script><div hidden>secret</div>"
      "<div style='display: none'>unseen</div><p class=sr-only>for readers</p></main>"
      "<div class=sidebar>beside</div><footer>Imprint</footer></body>");
  CHECK(text == "A title\n" + [] {
    std::string line = kParagraph + kParagraph;
    line.pop_back();
    return line + "\n" + line;
  }());
}

TEST_CASE("an article is chosen over what surrounds it", "[web]") {
  const std::string teasers =
      "<div><p>Another story that is not the one of this page, told in a few words only.</p></div>";
  const std::string text = extract("<body>" + teasers + teasers + "<article><h1>The story</h1>" + kStory +
                                   kStory + "</article>" + teasers + "</body>");
  CHECK(text.substr(0, 9) == "The story");
  CHECK_FALSE(has(text, "Another story"));
}

TEST_CASE("lists of links beside text are dropped, links inside text stay", "[web]") {
  const std::string text =
      extract("<body><div>" + kStory +
              "<p>See <a href=a>the manual</a> for more about it.</p>"
              "<ul><li><a href=1>Other page one</a><li><a href=2>Other page two</a></ul></div></body>");
  CHECK(has(text, "See the manual for more"));
  CHECK_FALSE(has(text, "Other page"));
}

TEST_CASE("comments stay only when asked for", "[web]") {
  const std::string page = "<body><article>" + kStory + kStory +
                           "</article><div id=comments><p>I agree with this.</p></div></body>";
  CHECK_FALSE(has(extract(page), "I agree"));
  const auto tree =
      web::parse_html("<body>" + kStory + "<div id=comments><p>I agree with this.</p></div></body>");
  CHECK(has(web::extract_text(tree, {true}), "I agree"));
}

TEST_CASE("a page whose text a script would show is not lost", "[web]") {
  CHECK(
      has(extract("<body><div id=app></div><noscript>" + kStory + "</noscript></body>"), "quick brown fox"));
  CHECK(has(extract("<body><p>Loading</p><div hidden id=S:0>" + kStory + kStory + "</div></body>"),
            "quick brown fox"));
  CHECK(has(extract("<body><p>x</p><section id=copyright><h1>Copyright</h1><p>All rights are explained "
                    "here.</p></section>"
                    "<nav>" +
                    kStory + "</nav></body>"),
            "All rights are explained"));
}

TEST_CASE("a wrapper with an unlucky name keeps its text", "[web]") {
  CHECK(has(extract("<body><div class='page-footer'>" + kStory + kStory + "</div><p>short</p></body>"),
            "quick brown fox"));
}

TEST_CASE("pages without text give none", "[web]") {
  CHECK(extract("").empty());
  CHECK(extract("<body><img src=x><script>1</script></body>").empty());
  CHECK(extract("<frameset><frame src=a></frameset>").empty());
}

namespace {

using Bag = std::unordered_map<std::string, int>;

bool is_word(char32_t value) {
  return value == '_' || text::is_letter(value) || text::word_class(value) == text::WordClass::digit;
}

/// Lower-case runs of letters, digits and _ , as Python's re.findall(r"\w+", text.lower()).
Bag words_of(const std::string& text) {
  Bag bag;
  std::string word;
  for (size_t at = 0; at <= text.size();) {
    const auto point = at < text.size() ? text::decode_utf8(text, at) : text::CodePoint{' ', 1, true};
    if (is_word(point.value)) {
      text::append_utf8(word, text::to_lower(point.value));
    } else if (!word.empty()) {
      ++bag[word];
      word.clear();
    }
    at += static_cast<size_t>(point.length);
  }
  return bag;
}

double word_f1(const std::string& found, const std::string& wanted) {
  const Bag a = words_of(found), b = words_of(wanted);
  double overlap = 0, size_a = 0, size_b = 0;
  for (const auto& [word, count] : a) {
    size_a += count;
    const auto other = b.find(word);
    if (other != b.end()) overlap += std::min(count, other->second);
  }
  for (const auto& [word, count] : b) size_b += count;
  if (size_b == 0) return size_a == 0 ? 1 : 0;
  return overlap == 0 ? 0 : 2 * overlap / (size_a + size_b);
}

std::string unzstd(const std::string& path) {
  const std::string stored = read_file(path);
  ZSTD_DStream* stream = ZSTD_createDStream();
  ZSTD_inBuffer input{stored.data(), stored.size(), 0};
  std::string out;
  while (input.pos < input.size) {
    char block[1 << 16];
    ZSTD_outBuffer output{block, sizeof block, 0};
    REQUIRE_FALSE(ZSTD_isError(ZSTD_decompressStream(stream, &output, &input)));
    out.append(block, output.pos);
  }
  ZSTD_freeDStream(stream);
  return out;
}

/// File name → content of a ustar archive.
std::map<std::string, std::string> untar(const std::string& archive) {
  std::map<std::string, std::string> files;
  for (size_t at = 0; at + 512 <= archive.size() && archive[at] != '\0';) {
    const std::string name = archive.c_str() + at;
    const size_t size = std::stoul(archive.substr(at + 124, 11), nullptr, 8);
    files[std::filesystem::path(name).stem().string()] = archive.substr(at + 512, size);
    at += 512 + (size + 511) / 512 * 512;
  }
  return files;
}

}  // namespace

TEST_CASE("the main text of real pages agrees with what people chose", "[web]") {
  REQUIRE_EXTERNAL_DATA(folder, "web/wcxb");
  const auto pages = untar(unzstd((folder / "dev-sample-html.tar.zst").string()));
  const std::string truth = unzstd((folder / "dev-sample-ground-truth.jsonl.zst").string());
  double sum = 0;
  int count = 0;
  for (const auto line : split(truth, '\n')) {
    if (line.empty()) continue;
    const Json entry = Json::parse(line);
    const auto page = pages.find(entry.at("file_id").as_string());
    REQUIRE(page != pages.end());
    const auto text = web::extract_text(web::parse_html(web::decode_text(page->second, "").text));
    sum += word_f1(text, entry.at("ground_truth").at("main_content").as_string());
    ++count;
  }
  CHECK(count == 250);
  CAPTURE(sum / count);
  CHECK(sum / count >= 0.85);  // measured 0.861
}
