#include "web/charset.hpp"

#include "base/file.hpp"
#include "base/str.hpp"
#include "support/data.hpp"
#include "web/charset_labels.hpp"

using namespace gristmill;
using web::decode_text;

TEST_CASE("a byte order mark decides before all else", "[web]") {
  CHECK(decode_text("\xEF\xBB\xBF\xC3\xA9", "iso-8859-1").text == "\xC3\xA9");
  const auto little = decode_text(std::string_view("\xFF\xFE\x61\x00\xAC\x20", 6), "utf-8");
  CHECK(little.text == "a\xE2\x82\xAC");
  CHECK(little.charset == "utf-16le");
  CHECK(decode_text(std::string_view("\xFE\xFF\x20\xAC", 4), "").text == "\xE2\x82\xAC");
}

TEST_CASE("a page labelled UTF-16 that has not one zero byte is read as what it is", "[web]") {
  const std::string page = "<meta charset=windows-1251><p>The mill \xE0</p>";
  CHECK(decode_text(page, "utf-16").text == "<meta charset=windows-1251><p>The mill \xD0\xB0</p>");
  CHECK(decode_text("<p>The mill</p>", "utf-16le").charset == "utf-8");
  CHECK(decode_text(std::string_view("<\0p\0>\0", 6), "utf-16le").text == "<p>");
}

TEST_CASE("the HTTP charset comes before the page's own, and an unknown one does not count", "[web]") {
  const std::string page = "<meta charset=windows-1251>\xE0";
  CHECK(decode_text(page, "iso-8859-2").charset == "iso-8859-2");
  CHECK(decode_text(page, "klingon").charset == "windows-1251");
  CHECK(decode_text(page, "").text == "<meta charset=windows-1251>\xD0\xB0");
}

TEST_CASE("Latin-1 is windows-1252 with all 256 bytes", "[web]") {
  const auto page = decode_text("\x80 \x93quoted\x94 \xE9 \x81", "latin1");
  CHECK(page.charset == "windows-1252");
  CHECK(page.text == "\xE2\x82\xAC \xE2\x80\x9Cquoted\xE2\x80\x9D \xC3\xA9 \xC2\x81");
}

TEST_CASE("East Asian encodings are decoded", "[web]") {
  CHECK(decode_text("\xC4\xE3\xBA\xC3", "gb2312").text == "\xE4\xBD\xA0\xE5\xA5\xBD");
  CHECK(decode_text("\x93\xFA\x96\x7B", "shift_jis").text == "\xE6\x97\xA5\xE6\x9C\xAC");
  CHECK(decode_text("\xC6\xFC\xCB\xDC", "euc-jp").text == "\xE6\x97\xA5\xE6\x9C\xAC");
  CHECK(decode_text("\xA7\x41\xA6\x6E", "big5").text == "\xE4\xBD\xA0\xE5\xA5\xBD");
  CHECK(decode_text("\xB0\xA1", "euc-kr").text == "\xEA\xB0\x80");
}

TEST_CASE("bytes that cannot be decoded become U+FFFD, one by one, and NUL is dropped", "[web]") {
  CHECK(decode_text(std::string_view("a\0b\xFFz", 5), "utf-8").text == "ab\xEF\xBF\xBDz");
  CHECK(decode_text("ab\xFF\xFF", "gb18030").text == "ab\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(decode_text("ab\xC4", "gb18030").text == "ab\xEF\xBF\xBD");
  CHECK(decode_text(std::string_view("a\0b", 3), "windows-1252").text == "ab");
}

TEST_CASE("without a declaration valid UTF-8 is UTF-8, and the rest is guessed", "[web]") {
  CHECK(decode_text("caf\xC3\xA9", "").charset == "utf-8");
  CHECK(decode_text("", "").charset == "utf-8");
  CHECK(decode_text("caf\xE9", "").text == "caf\xC3\xA9");
  std::string russian;  // "привет мир, это обычный русский текст" in windows-1251
  for (int i = 0; i < 10; ++i) {
    russian +=
        "\xEF\xF0\xE8\xE2\xE5\xF2 \xEC\xE8\xF0, \xFD\xF2\xEE \xEE\xE1\xFB\xF7\xED\xFB\xE9 "
        "\xF0\xF3\xF1\xF1\xEA\xE8\xE9 \xF2\xE5\xEA\xF1\xF2. ";
  }
  CHECK(decode_text(russian, "").charset == "windows-1251");
}

TEST_CASE("a declaration behind the first kilobyte counts where the bytes are no UTF-8", "[web]") {
  const std::string page = std::string(2000, ' ') + "<meta charset=iso-8859-2>\xB1";
  CHECK(decode_text(page, "").charset == "iso-8859-2");
}

TEST_CASE("labels name encodings whatever their case", "[web]") {
  CHECK(web::encoding_of_label(" ISO-8859-1 ") == "windows-1252");
  CHECK(web::encoding_of_label("UTF8") == "utf-8");
  CHECK(web::encoding_of_label("gb2312") == "gbk");
  CHECK(web::encoding_of_label("no-such").empty());
}

TEST_CASE("the prescan reads attributes as the standard says", "[web]") {
  CHECK(web::prescan_meta("<meta charset='koi8-r'>") == "koi8-r");
  CHECK(web::prescan_meta("<META http-equiv=Content-Type content='text/html; charset=big5'>") == "big5");
  CHECK(web::prescan_meta("<meta content='text/html; charset=big5'>").empty());
  CHECK(web::prescan_meta("<!-- <meta charset=big5> -->").empty());
  CHECK(web::prescan_meta("<title x='<meta charset=big5>'>").empty());
  CHECK(web::prescan_meta("<metadata charset=big5>").empty());
  CHECK(web::prescan_meta("<meta charset=utf-16>") == "utf-8");
  CHECK(web::prescan_meta("<meta charset=").empty());
}

TEST_CASE("the prescan agrees with html5lib's encoding tests", "[web]") {
  REQUIRE_EXTERNAL_DATA(folder, "web/html5lib-tests/encoding");
  int cases = 0;
  for (const char* name : {"tests1.dat", "tests2.dat"}) {
    const std::string all = read_file((folder / name).string());
    size_t at = 0;
    while ((at = all.find("#data\n", at)) != std::string::npos) {
      const size_t middle = all.find("\n#encoding\n", at), end = all.find('\n', middle + 11);
      const std::string page = all.substr(at + 6, middle - at - 6);
      const std::string_view wanted = web::encoding_of_label(all.substr(middle + 11, end - middle - 11));
      at = end;
      // Its cases with a late <meta> expect what a browser's parser finds when it gets there.
      std::string_view found = page.substr(0, 3) == "\xEF\xBB\xBF" ? "utf-8" : web::prescan_meta(page);
      if (found.empty()) found = "windows-1252";
      ++cases;
      CAPTURE(page.substr(0, 300));
      CHECK(found == wanted);
    }
  }
  CHECK(cases > 60);
}
