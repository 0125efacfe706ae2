#include "web/class_words.hpp"

#include <algorithm>
#include <array>
#include <iterator>

namespace gristmill::web {

namespace {

struct Word {
  std::string_view word;
  uint32_t signal;
};

/// Sorted by word.
constexpr Word kWords[] = {
    {"ad", kBoilerplate},
    {"adbox", kBoilerplate},
    {"addthis", kBoilerplate},
    {"addtoany", kBoilerplate},
    {"ads", kBoilerplate},
    {"adsense", kBoilerplate},
    {"adslot", kBoilerplate},
    {"adunit", kBoilerplate},
    {"adv", kBoilerplate},
    {"advert", kBoilerplate},
    {"advertisement", kBoilerplate},
    {"advertising", kBoilerplate},
    {"adverts", kBoilerplate},
    {"also-like", kBoilerplate},
    {"article-body", kContentBody},
    {"article-content", kContentBody},
    {"article-footer", kBoilerplate},
    {"article-main", kContentBody},
    {"article-meta", kBoilerplate},
    {"article-text", kContentBody},
    {"article-tools", kBoilerplate},
    {"articlebody", kContentBody},
    {"articlecontent", kContentBody},
    {"author-bio", kBoilerplate},
    {"author-box", kBoilerplate},
    {"authorbio", kBoilerplate},
    {"authorbox", kBoilerplate},
    {"back-top", kBoilerplate},
    {"backtotop", kBoilerplate},
    {"blog-content", kContentBody},
    {"body-text", kContentBody},
    {"bodytext", kContentBody},
    {"bottombar", kBoilerplate},
    {"bottomnav", kBoilerplate},
    {"breadcrumb", kBoilerplate},
    {"breadcrumbs", kBoilerplate},
    {"byline", kBoilerplate},
    {"cart-drawer", kBoilerplate},
    {"cat-links", kBoilerplate},
    {"catlinks", kBoilerplate},
    {"chatbot", kBoilerplate},
    {"colophon", kBoilerplate},
    {"comment", kComments},
    {"comment-list", kComments},
    {"commentlist", kComments},
    {"comments", kComments},
    {"comments-area", kComments},
    {"compare-link", kBoilerplate},
    {"consent", kBoilerplate},
    {"content", kContentArea},
    {"content-body", kContentBody},
    {"content-main", kContentArea},
    {"contentbody", kContentBody},
    {"contents", kContentArea},
    {"cookie", kBoilerplate},
    {"cookiebar", kBoilerplate},
    {"cookies", kBoilerplate},
    {"copyright", kBoilerplate},
    {"criteo", kBoilerplate},
    {"cta", kBoilerplate},
    {"d-none", kHidden},
    {"dfp", kBoilerplate},
    {"display-none", kHidden},
    {"disqus", kComments},
    {"dropdown", kBoilerplate},
    {"edit-link", kBoilerplate},
    {"edit-page", kBoilerplate},
    {"editsection", kBoilerplate},
    {"entry-content", kContentBody},
    {"entry-footer", kBoilerplate},
    {"entry-meta", kBoilerplate},
    {"entry-tags", kBoilerplate},
    {"entrycontent", kContentBody},
    {"facet", kBoilerplate},
    {"facets", kBoilerplate},
    {"feedback-form", kBoilerplate},
    {"field-body", kContentBody},
    {"filters", kBoilerplate},
    {"flash", kBoilerplate},
    {"followus", kBoilerplate},
    {"footer", kBoilerplate},
    {"footers", kBoilerplate},
    {"gdpr", kBoilerplate},
    {"global-footer", kBoilerplate},
    {"global-header", kBoilerplate},
    {"global-nav", kBoilerplate},
    {"hatnote-nav", kBoilerplate},
    {"headerlink", kBoilerplate},
    {"hidden", kHidden},
    {"hide", kHidden},
    {"invisible", kHidden},
    {"is-hidden", kHidden},
    {"jump-to", kBoilerplate},
    {"jumpto", kBoilerplate},
    {"lang-switcher", kBoilerplate},
    {"langswitch", kBoilerplate},
    {"language-switcher", kBoilerplate},
    {"languages", kBoilerplate},
    {"latest-posts", kBoilerplate},
    {"left-col", kSidebar},
    {"left-column", kSidebar},
    {"leftbar", kSidebar},
    {"lightbox", kBoilerplate},
    {"live-chat", kBoilerplate},
    {"livechat", kBoilerplate},
    {"livefyre", kComments},
    {"log-in", kBoilerplate},
    {"login", kBoilerplate},
    {"logout", kBoilerplate},
    {"main", kContentArea},
    {"main-article", kContentBody},
    {"main-content", kContentArea},
    {"maincontent", kContentArea},
    {"mainnav", kBoilerplate},
    {"markdown-body", kContentBody},
    {"masthead", kBoilerplate},
    {"megamenu", kBoilerplate},
    {"menu", kBoilerplate},
    {"menus", kBoilerplate},
    {"mini-cart", kBoilerplate},
    {"minicart", kBoilerplate},
    {"modal", kBoilerplate},
    {"more-from", kBoilerplate},
    {"mostread", kBoilerplate},
    {"mw-content", kContentArea},
    {"mw-editsection", kBoilerplate},
    {"nav", kBoilerplate},
    {"navbar", kBoilerplate},
    {"navbox", kBoilerplate},
    {"navi", kBoilerplate},
    {"navigation", kBoilerplate},
    {"news-content", kContentBody},
    {"newscontent", kContentBody},
    {"newsletter", kBoilerplate},
    {"next-prev", kBoilerplate},
    {"noprint", kBoilerplate},
    {"offcanvas", kBoilerplate},
    {"onetrust", kBoilerplate},
    {"outbrain", kBoilerplate},
    {"page-content", kContentArea},
    {"page-footer", kBoilerplate},
    {"page-nav", kBoilerplate},
    {"pagecontent", kContentArea},
    {"pagenav", kBoilerplate},
    {"pager", kBoilerplate},
    {"pagination", kBoilerplate},
    {"paging", kBoilerplate},
    {"paywall", kBoilerplate},
    {"permalink", kBoilerplate},
    {"popular", kBoilerplate},
    {"popup", kBoilerplate},
    {"popups", kBoilerplate},
    {"post-article", kContentBody},
    {"post-body", kContentBody},
    {"post-content", kContentBody},
    {"post-entry", kContentBody},
    {"post-footer", kBoilerplate},
    {"post-meta", kBoilerplate},
    {"post-nav", kBoilerplate},
    {"post-navigation", kBoilerplate},
    {"post-tags", kBoilerplate},
    {"post-text", kContentBody},
    {"postbody", kContentBody},
    {"postcontent", kContentBody},
    {"posted-on", kBoilerplate},
    {"premium-promo", kBoilerplate},
    {"prev-next", kBoilerplate},
    {"prevnext", kBoilerplate},
    {"primary", kContentArea},
    {"print", kBoilerplate},
    {"promo", kBoilerplate},
    {"promoted", kBoilerplate},
    {"prose", kContentBody},
    {"rail", kSidebar},
    {"rating-form", kBoilerplate},
    {"read-more", kBoilerplate},
    {"readmore", kBoilerplate},
    {"recent-posts", kBoilerplate},
    {"recommendation", kBoilerplate},
    {"recommendations", kBoilerplate},
    {"recommended", kBoilerplate},
    {"refinements", kBoilerplate},
    {"related", kBoilerplate},
    {"related-articles", kBoilerplate},
    {"related-content", kBoilerplate},
    {"related-posts", kBoilerplate},
    {"relatedposts", kBoilerplate},
    {"reply-form", kComments},
    {"report-abuse", kBoilerplate},
    {"respond", kComments},
    {"rich-text", kContentBody},
    {"richtext", kContentBody},
    {"right-col", kSidebar},
    {"right-column", kSidebar},
    {"right-rail", kSidebar},
    {"rightbar", kSidebar},
    {"screen-reader", kHidden},
    {"scroll-top", kBoilerplate},
    {"search", kBoilerplate},
    {"searchbox", kBoilerplate},
    {"searchform", kBoilerplate},
    {"secondary", kSidebar},
    {"share", kBoilerplate},
    {"share-buttons", kBoilerplate},
    {"share-links", kBoilerplate},
    {"sharebar", kBoilerplate},
    {"sharedaddy", kBoilerplate},
    {"shares", kBoilerplate},
    {"sharethis", kBoilerplate},
    {"sharing", kBoilerplate},
    {"shopping-cart", kBoilerplate},
    {"side-bar", kSidebar},
    {"sidebar", kSidebar},
    {"sidebar-left", kSidebar},
    {"sidebar-right", kSidebar},
    {"sidebars", kSidebar},
    {"sign-in", kBoilerplate},
    {"sign-up", kBoilerplate},
    {"signin", kBoilerplate},
    {"signup", kBoilerplate},
    {"single-content", kContentBody},
    {"site-footer", kBoilerplate},
    {"site-header", kBoilerplate},
    {"site-nav", kBoilerplate},
    {"sitemap", kBoilerplate},
    {"sitesub", kBoilerplate},
    {"skip", kBoilerplate},
    {"skip-link", kBoilerplate},
    {"skip-to", kBoilerplate},
    {"skiplink", kBoilerplate},
    {"skiplinks", kBoilerplate},
    {"sns", kBoilerplate},
    {"social", kBoilerplate},
    {"social-links", kBoilerplate},
    {"social-share", kBoilerplate},
    {"socials", kBoilerplate},
    {"sort-by", kBoilerplate},
    {"sortby", kBoilerplate},
    {"sphinxsidebar", kBoilerplate},
    {"sponsor", kBoilerplate},
    {"sponsored", kBoilerplate},
    {"sponsors", kBoilerplate},
    {"sr-only", kHidden},
    {"story-body", kContentBody},
    {"story-content", kContentBody},
    {"storybody", kContentBody},
    {"submenu", kBoilerplate},
    {"subnav", kBoilerplate},
    {"subscribe", kBoilerplate},
    {"subscription", kBoilerplate},
    {"tabbar", kBoilerplate},
    {"taboola", kBoilerplate},
    {"tag-list", kBoilerplate},
    {"taglist", kBoilerplate},
    {"tags", kBoilerplate},
    {"tags-links", kBoilerplate},
    {"to-top", kBoilerplate},
    {"toc-toggle", kBoilerplate},
    {"toolbar", kBoilerplate},
    {"toolbar-products", kBoilerplate},
    {"tooltip", kBoilerplate},
    {"topbar", kBoilerplate},
    {"topic-body", kContentBody},
    {"toplinks", kBoilerplate},
    {"topnav", kBoilerplate},
    {"trending", kBoilerplate},
    {"user-info", kBoilerplate},
    {"userinfo", kBoilerplate},
    {"visually-hidden", kHidden},
    {"visuallyhidden", kHidden},
    {"widget", kSidebar},
    {"widget-area", kSidebar},
    {"widgets", kSidebar},
    {"wiki-content", kContentBody},
    {"wikicontent", kContentBody},
    {"wishlist", kBoilerplate},
    {"you-may", kBoilerplate},
};

constexpr size_t kMaxWord = 32;  ///< no word of the table is longer

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

uint32_t signal_of(std::string_view word) {
  const auto* const found = std::lower_bound(std::begin(kWords), std::end(kWords), word,
                                             [](const Word& a, std::string_view b) { return a.word < b; });
  return found != std::end(kWords) && found->word == word ? found->signal : 0;
}

/// The word before and the present one, as "before-present".
class Pair {
 public:
  void push(char c) {
    if (size_ < text_.size()) text_[size_++] = static_cast<char>(is_upper(c) ? c - 'A' + 'a' : c);
  }
  /// Ends the word and returns the signals of it and of the pair.
  uint32_t finish() {
    if (size_ == begin_) return 0;
    const std::string_view pair(text_.data(), size_);
    uint32_t signals = size_ < text_.size() ? signal_of(pair.substr(begin_)) : 0;
    if (begin_ > 0 && size_ < text_.size()) signals |= signal_of(pair);
    const size_t length = size_ - begin_;
    std::copy_n(text_.begin() + static_cast<std::ptrdiff_t>(begin_), length, text_.begin());
    size_ = length;
    if (size_ < text_.size()) text_[size_++] = '-';
    begin_ = size_;
    return signals;
  }
  void reset() { size_ = begin_ = 0; }

 private:
  std::array<char, 2 * kMaxWord> text_{};
  size_t size_ = 0, begin_ = 0;
};

}  // namespace

uint32_t class_signals(std::string_view names) {
  uint32_t signals = 0;
  Pair pair;
  char before = ' ';
  for (const char c : names) {
    const bool letter = is_lower(c) || is_upper(c) || is_digit(c);
    if (!letter || (is_upper(c) && is_lower(before))) signals |= pair.finish();
    if (letter) {
      pair.push(c);
    } else if (c == ' ' || c == '\t' || c == '\n') {
      pair.reset();  // another name
    }
    before = c;
  }
  return signals | pair.finish();
}

}  // namespace gristmill::web
