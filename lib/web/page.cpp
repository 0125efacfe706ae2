#include "web/page.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "base/str.hpp"
#include "web/charset.hpp"
#include "web/http.hpp"
#include "web/langid.hpp"
#include "web/page_info.hpp"

namespace gristmill::web {

namespace {

/// A page's bytes with what its transport said of them.
struct RawPage {
  std::string_view bytes, charset;
  bool plain_text = false;           ///< a WET record
  std::vector<std::string> opt_out;  ///< from HTTP fields
};

PageResult drop(PageResult&& result, const char* reason) {
  result.dropped = reason;
  return std::move(result);
}

/// Whether bytes without a helpful Content-Type are HTML: its doctype or root element comes first, comments
/// apart.
bool sniff_html(std::string_view bytes) {
  const std::string head = to_lower_ascii(bytes.substr(0, 1024));
  return head.find("<!doctype html") != std::string::npos || head.find("<html") != std::string::npos ||
         head.find("<head") != std::string::npos;
}

bool is_html(std::string_view content_type, std::string_view bytes) {
  const std::string type = media_type(content_type);
  if (type == "text/html" || type == "application/xhtml+xml") return true;
  const bool silent = type.empty() || type == "application/octet-stream" || type == "application/unknown";
  return silent && sniff_html(bytes);
}

/// "urn:uuid:…" without its scheme; where a record has none, a hash of what identifies the capture.
std::string document_id(const WarcRecord& record) {
  constexpr std::string_view kScheme = "urn:uuid:";
  if (record.id.substr(0, kScheme.size()) == kScheme) return record.id.substr(kScheme.size());
  return record.id.empty() ? format_hex64(xxh3(str(record.uri, '\n', record.date))) : record.id;
}

std::string clean_plain_text(std::string_view text) {
  std::string out;
  for (std::string_view line : split(text, '\n')) {
    line = strip(line);
    if (line.empty()) continue;
    if (!out.empty()) out += '\n';
    out += line;
  }
  return out;
}

bool accepts_language(const LanguageGuess& guess, const CrawlOptions& options) {
  if (options.languages.empty()) return true;
  const bool wanted =
      std::find(options.languages.begin(), options.languages.end(), guess.code) != options.languages.end();
  return wanted && guess.share >= options.min_language_share;
}

/// Text, language and metadata from the bytes.
PageResult finish_page(PageResult&& result, const RawPage& page, const CrawlOptions& options) {
  auto& document = result.document;
  DecodedText decoded = decode_text(page.bytes, page.charset);
  std::vector<std::string> opt_out = page.opt_out;
  if (page.plain_text) {
    document.text = clean_plain_text(decoded.text);
  } else {
    const HtmlTree tree = parse_html(decoded.text);
    PageInfo info = page_info(tree);
    if (!info.title.empty()) document.metadata["title"] = std::move(info.title);
    for (auto& signal : info.opt_out) {
      if (std::find(opt_out.begin(), opt_out.end(), signal) == opt_out.end()) opt_out.push_back(signal);
    }
    document.text = extract_text(tree, {options.comments});
  }
  document.metadata["charset"] = std::move(decoded.charset);
  for (auto& signal : opt_out) document.metadata["opt_out"].push_back(std::move(signal));
  if (document.text.empty()) return drop(std::move(result), "no_text");
  const LanguageGuess guess = guess_language(document.text);
  document.lang = guess.code;
  if (!guess.code.empty()) document.metadata["language_share"] = guess.share;
  if (options.respect_optout && !opt_out.empty()) return drop(std::move(result), "opt_out");
  if (!accepts_language(guess, options)) return drop(std::move(result), "language");
  return std::move(result);
}

/// An HTTP response, as `response` records hold it.
PageResult process_response(PageResult&& result, const WarcRecord& record, const CrawlOptions& options) {
  HttpResponse response;
  if (!parse_http_response(record.block, response)) return drop(std::move(result), "not_http");
  if (response.status != 200) return drop(std::move(result), "status");
  const std::string_view type = response.header("content-type");
  const bool maybe = is_html(type, "<html");
  if (!maybe) return drop(std::move(result), "content_type");
  const HttpBody body = decode_body(response, options.max_page_bytes);
  if (body.not_chunked) result.repaired.emplace_back("not_chunked");
  if (body.not_compressed) result.repaired.emplace_back("not_compressed");
  if (body.cut) result.repaired.emplace_back("cut_body");
  if (body.too_large) return drop(std::move(result), "page_too_large");
  if (body.unsupported) return drop(std::move(result), "content_encoding");
  if (!is_html(type, body.bytes)) return drop(std::move(result), "content_type");
  const std::string charset = charset_parameter(type);
  RawPage page{body.bytes, charset, false, {}};
  for (const auto& [name, value] : response.headers) {
    if (equals_ignoring_case(name, "x-robots-tag")) add_robots_signals(value, page.opt_out);
    if (equals_ignoring_case(name, "tdm-reservation") && value == "1")
      page.opt_out.emplace_back("tdm-reservation");
  }
  return finish_page(std::move(result), page, options);
}

}  // namespace

void CrawlOptions::check() const {
  if (!(min_language_share >= 0 && min_language_share <= 1)) {
    fail(Kind::usage, "--lang-share ", min_language_share,
         " is no part of a text: give a number from 0 to 1");
  }
}

Json CrawlOptions::to_json() const {
  Json json = Json::object();
  json["html"] = html;
  json["comments"] = comments;
  json["respect_optout"] = respect_optout;
  json["languages"] = Json::array();
  for (const auto& language : languages) json["languages"].push_back(language);
  json["min_language_share"] = min_language_share;
  json["max_record_bytes"] = max_record_bytes;
  json["max_page_bytes"] = max_page_bytes;
  return json;
}

PageResult process_record(const WarcRecord& record, const CrawlOptions& options) {
  PageResult result;
  result.document.id = document_id(record);
  result.document.url = sanitise_utf8(record.uri);
  result.document.source = "warc";
  result.document.created = sanitise_utf8(record.date);
  if (record.fault == RecordFault::damaged) return drop(std::move(result), "damaged_record");
  if (record.type == "response" && record.fault == RecordFault::none) {
    return process_response(std::move(result), record, options);
  }
  const bool text = record.type == "conversion" && media_type(record.content_type) == "text/plain";
  const bool html = record.type == "resource" && is_html(record.content_type, record.block);
  if (record.type != "response" && !text && !html) return drop(std::move(result), "record_type");
  if (record.fault == RecordFault::too_large) return drop(std::move(result), "record_too_large");
  if (record.block.size() > options.max_page_bytes) return drop(std::move(result), "page_too_large");
  const std::string charset = charset_parameter(record.content_type);
  return finish_page(std::move(result), RawPage{record.block, charset, text, {}}, options);
}

PageResult process_html(std::string_view id, std::string_view bytes, const CrawlOptions& options) {
  PageResult result;
  result.document.id = sanitise_utf8(id);
  result.document.source = "html";
  if (bytes.size() > options.max_page_bytes) return drop(std::move(result), "page_too_large");
  return finish_page(std::move(result), RawPage{bytes, {}, false, {}}, options);
}

}  // namespace gristmill::web
