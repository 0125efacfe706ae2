#include "web/html_tag.hpp"

#include <algorithm>
#include <iterator>

namespace gristmill::web {

namespace {

constexpr std::string_view kNames[] = {
    "a",      "abbr",     "address",  "article",  "aside",   "audio",    "b",        "blockquote",
    "body",   "br",       "button",   "canvas",   "caption", "center",   "cite",     "code",
    "col",    "colgroup", "datalist", "dd",       "del",     "details",  "dfn",      "dialog",
    "dir",    "div",      "dl",       "dt",       "em",      "embed",    "fieldset", "figcaption",
    "figure", "font",     "footer",   "form",     "frame",   "frameset", "h1",       "h2",
    "h3",     "h4",       "h5",       "h6",       "head",    "header",   "hgroup",   "hr",
    "html",   "i",        "iframe",   "img",      "input",   "ins",      "kbd",      "label",
    "legend", "li",       "link",     "main",     "map",     "mark",     "math",     "menu",
    "meta",   "nav",      "nobr",     "noscript", "object",  "ol",       "optgroup", "option",
    "output", "p",        "param",    "picture",  "pre",     "progress", "q",        "rp",
    "rt",     "ruby",     "s",        "samp",     "script",  "section",  "select",   "slot",
    "small",  "source",   "span",     "strike",   "strong",  "style",    "sub",      "summary",
    "sup",    "svg",      "table",    "tbody",    "td",      "template", "textarea", "tfoot",
    "th",     "thead",    "time",     "title",    "tr",      "track",    "tt",       "u",
    "ul",     "var",      "video",    "wbr",
};
constexpr auto kFirst = static_cast<uint8_t>(Tag::a);
static_assert(static_cast<uint8_t>(Tag::wbr) - kFirst + 1 == std::size(kNames));

}  // namespace

Tag tag_of_name(std::string_view name) {
  const auto* const found = std::lower_bound(std::begin(kNames), std::end(kNames), name);
  if (found == std::end(kNames) || *found != name) return Tag::other;
  return static_cast<Tag>(kFirst + (found - std::begin(kNames)));
}

bool is_block(Tag tag) {
  switch (tag) {
    case Tag::address:
    case Tag::article:
    case Tag::aside:
    case Tag::blockquote:
    case Tag::body:
    case Tag::caption:
    case Tag::center:
    case Tag::dd:
    case Tag::details:
    case Tag::dialog:
    case Tag::dir:
    case Tag::div:
    case Tag::dl:
    case Tag::dt:
    case Tag::fieldset:
    case Tag::figcaption:
    case Tag::figure:
    case Tag::footer:
    case Tag::form:
    case Tag::frameset:
    case Tag::h1:
    case Tag::h2:
    case Tag::h3:
    case Tag::h4:
    case Tag::h5:
    case Tag::h6:
    case Tag::header:
    case Tag::hgroup:
    case Tag::hr:
    case Tag::html:
    case Tag::legend:
    case Tag::li:
    case Tag::main:
    case Tag::menu:
    case Tag::nav:
    case Tag::noscript:
    case Tag::ol:
    case Tag::option:
    case Tag::p:
    case Tag::pre:
    case Tag::section:
    case Tag::summary:
    case Tag::table:
    case Tag::tbody:
    case Tag::tfoot:
    case Tag::thead:
    case Tag::tr:
    case Tag::ul:
      return true;
    default:
      return false;
  }
}

}  // namespace gristmill::web
