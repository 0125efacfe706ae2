// parse_html() on Debian's libmodest (myhtml), the only file that knows of it. Two things it lacks are added
// by callbacks: a limit on depth, without which its scans of the stack of open elements are quadratic in
// hostile pages, and a limit on the number of nodes.

#include <myhtml/myhtml.h>

#include <algorithm>
#include <memory>
#include <new>
#include <string>

#include "base/error.hpp"
#include "web/html_tree.hpp"

namespace gristmill::web {

namespace {

struct EngineDeleter {
  void operator()(myhtml_t* engine) const { ::myhtml_destroy(engine); }
};
struct TreeDeleter {
  void operator()(myhtml_tree_t* tree) const { ::myhtml_tree_destroy(tree); }
};

/// One engine a thread: it holds tables only, and making one costs more than parsing a small page.
myhtml_t* engine_of_thread() {
  thread_local std::unique_ptr<myhtml_t, EngineDeleter> engine;
  if (engine == nullptr) {
    engine.reset(::myhtml_create());
    if (engine == nullptr ||
        ::myhtml_init(engine.get(), MyHTML_OPTIONS_PARSE_MODE_SINGLE, 1, 0) != MyHTML_STATUS_OK) {
      throw std::bad_alloc();
    }
  }
  return engine.get();
}

struct Guard {
  HtmlLimits limits;
  uint32_t tokens =
      0;  ///< a bound of the nodes: a token makes one, and the few it reopens are bounded by the depth
  uint32_t dropped = 0;  ///< start tags turned into comments that still await their end tags
};

bool is_void(myhtml_tag_id_t tag) {
  switch (tag) {
    case MyHTML_TAG_AREA:
    case MyHTML_TAG_BASE:
    case MyHTML_TAG_BR:
    case MyHTML_TAG_COL:
    case MyHTML_TAG_EMBED:
    case MyHTML_TAG_HR:
    case MyHTML_TAG_IMG:
    case MyHTML_TAG_INPUT:
    case MyHTML_TAG_LINK:
    case MyHTML_TAG_META:
    case MyHTML_TAG_PARAM:
    case MyHTML_TAG_SOURCE:
    case MyHTML_TAG_TRACK:
    case MyHTML_TAG_WBR:
      return true;
    default:
      return false;
  }
}

/// Runs for each token before the tree builder sees it.
void* guard_token(myhtml_tree_t* tree, myhtml_token_node_t* token, void* context) {
  auto& guard = *static_cast<Guard*>(context);
  if (++guard.tokens >= guard.limits.max_nodes) {
    tree->parse_flags = static_cast<myhtml_tree_parse_flags_t>(tree->parse_flags |
                                                               MyHTML_TREE_PARSE_FLAGS_WITHOUT_BUILD_TREE);
    return context;
  }
  const bool element = token->tag_id > MyHTML_TAG__DOCTYPE && !is_void(token->tag_id);
  if (!element) return context;
  const bool end_tag = (token->type & MyHTML_TOKEN_TYPE_CLOSE) != 0;
  if (end_tag ? guard.dropped == 0 : tree->open_elements->length < guard.limits.max_depth) return context;
  guard.dropped += end_tag ? -1u : 1u;
  token->tag_id = MyHTML_TAG__COMMENT;
  token->type = static_cast<enum myhtml_token_type>(token->type & ~MyHTML_TOKEN_TYPE_CLOSE);
  return context;
}

std::string_view view(const char* text, size_t size) {
  return text == nullptr ? std::string_view() : std::string_view(text, size);
}

class Copier {
 public:
  Copier(myhtml_tree_t* from, const HtmlLimits& limits) : from_(from), limits_(limits) {}

  HtmlTree run() {
    out_.open(Tag::other, "#document", 0);
    myhtml_tree_node_t* const document = ::myhtml_tree_get_document(from_);
    myhtml_tree_node_t* node = document == nullptr ? nullptr : document->child;
    uint32_t parent = 0;
    while (node != nullptr && out_.size() < limits_.max_nodes) {
      const uint32_t copied = copy(node, parent);
      if (node->child != nullptr && copied != 0) {
        parent = copied;
        node = node->child;
        continue;
      }
      while (node->next == nullptr && node->parent != document) {
        out_.close(parent);
        parent = out_[parent].parent;
        node = node->parent;
      }
      node = node->next;
    }
    for (; parent != 0; parent = out_[parent].parent) out_.close(parent);
    out_.close(0);
    return std::move(out_);
  }

 private:
  /// The copy's index, or 0 for what is left out (comments, doctypes).
  uint32_t copy(myhtml_tree_node_t* node, uint32_t parent) {
    size_t size = 0;
    if (node->tag_id == MyHTML_TAG__TEXT) {
      const char* text = ::myhtml_node_text(node, &size);
      return size == 0 ? 0 : out_.open(Tag::text, view(text, size), parent);
    }
    if (node->tag_id <= MyHTML_TAG__DOCTYPE) return 0;
    const char* text = ::myhtml_tag_name_by_id(from_, node->tag_id, &size);
    const std::string_view name = view(text, size);
    const uint32_t copied = out_.open(tag_of_name(name), name, parent);
    uint32_t count = 0;
    for (auto* item = ::myhtml_node_attribute_first(node); item != nullptr && count < limits_.max_attributes;
         item = ::myhtml_attribute_next(item), ++count) {
      size_t value_size = 0;
      const char* value = ::myhtml_attribute_value(item, &value_size);
      const char* key = ::myhtml_attribute_key(item, &size);
      out_.add_attribute(view(key, size), view(value, value_size));
    }
    return copied;
  }

  myhtml_tree_t* from_;
  HtmlLimits limits_;
  HtmlTree out_;
};

}  // namespace

HtmlTree parse_html(std::string_view text, const HtmlLimits& limits) {
  const std::unique_ptr<myhtml_tree_t, TreeDeleter> tree(::myhtml_tree_create());
  if (tree == nullptr || ::myhtml_tree_init(tree.get(), engine_of_thread()) != MyHTML_STATUS_OK)
    throw std::bad_alloc();
  Guard guard{limits};
  ::myhtml_callback_before_token_done_set(tree.get(), guard_token, &guard);
  ::myhtml_parse_single(tree.get(), MyENCODING_UTF_8, text.data(), text.size());
  return Copier(tree.get(), limits).run();
}

}  // namespace gristmill::web
