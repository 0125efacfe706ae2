#include "web/html_tag.hpp"

#include <algorithm>
#include <array>
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

constexpr std::array<bool, 256> block_table() {
  std::array<bool, 256> table{};
  // clang-format off
  for (const Tag tag : {
      Tag::address, Tag::article, Tag::aside, Tag::blockquote, Tag::body, Tag::caption, Tag::center,
      Tag::dd, Tag::details, Tag::dialog, Tag::dir, Tag::div, Tag::dl, Tag::dt, Tag::fieldset,
      Tag::figcaption, Tag::figure, Tag::footer, Tag::form, Tag::frameset, Tag::h1, Tag::h2,
      Tag::h3, Tag::h4, Tag::h5, Tag::h6, Tag::header, Tag::hgroup, Tag::hr, Tag::html, Tag::legend,
      Tag::li, Tag::main, Tag::menu, Tag::nav, Tag::noscript, Tag::ol, Tag::option, Tag::p,
      Tag::pre, Tag::section, Tag::summary, Tag::table, Tag::tbody, Tag::tfoot, Tag::thead, Tag::tr,
      Tag::ul}) {
    table[static_cast<uint8_t>(tag)] = true;
  }
  // clang-format on
  return table;
}
constexpr auto kBlocks = block_table();

}  // namespace

Tag tag_of_name(std::string_view name) {
  const auto* const found = std::lower_bound(std::begin(kNames), std::end(kNames), name);
  if (found == std::end(kNames) || *found != name) return Tag::other;
  return static_cast<Tag>(kFirst + (found - std::begin(kNames)));
}

bool is_block(Tag tag) { return kBlocks[static_cast<uint8_t>(tag)]; }

}  // namespace gristmill::web
