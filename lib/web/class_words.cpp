#include "web/class_words.hpp"

#include <algorithm>
#include <array>
#include <iterator>

namespace gristmill::web {

namespace {

struct Word {
  std::string_view word;
  uint32_t signal;
  bool whole;  ///< only as the whole name: "menu", but not "menu-page"
};

/// Sorted by word.
constexpr Word kWords[] = {
    {"ad", kBoilerplate, true},
    {"ad-container", kBoilerplate, false},
    {"ad-slot", kBoilerplate, false},
    {"ad-unit", kBoilerplate, false},
    {"ad-wrapper", kBoilerplate, false},
    {"adbox", kBoilerplate, false},
    {"addthis", kBoilerplate, false},
    {"addthis-toolbox", kBoilerplate, true},
    {"addtoany", kBoilerplate, false},
    {"ads", kBoilerplate, true},
    {"adsense", kBoilerplate, false},
    {"adslot", kBoilerplate, false},
    {"adunit", kBoilerplate, false},
    {"adv", kBoilerplate, false},
    {"advert", kBoilerplate, false},
    {"advertisement", kBoilerplate, false},
    {"advertising", kBoilerplate, false},
    {"adverts", kBoilerplate, false},
    {"also-like", kBoilerplate, false},
    {"article-body", kContentBody, false},
    {"article-content", kContentBody, false},
    {"article-footer", kBoilerplate, false},
    {"article-meta", kBoilerplate, true},
    {"article-text", kContentBody, false},
    {"articlebody", kContentBody, false},
    {"articlecontent", kContentBody, false},
    {"assistive-text", kHidden, true},
    {"author-bio", kBoilerplate, false},
    {"author-box", kBoilerplate, false},
    {"author-card", kBoilerplate, true},
    {"author-info", kBoilerplate, true},
    {"back-top", kBoilerplate, false},
    {"banner-ad", kBoilerplate, false},
    {"blog-content", kContentBody, false},
    {"body-text", kContentBody, false},
    {"bodycontent", kContentArea, true},
    {"bodytext", kContentBody, false},
    {"bottombar", kBoilerplate, false},
    {"breadcrumb", kBoilerplate, false},
    {"breadcrumb-trail", kBoilerplate, true},
    {"breadcrumbs", kBoilerplate, false},
    {"byline", kBoilerplate, true},
    {"cart-drawer", kBoilerplate, false},
    {"cat-links", kBoilerplate, false},
    {"catlinks", kBoilerplate, false},
    {"chatbot", kBoilerplate, false},
    {"colophon", kBoilerplate, false},
    {"comment-form", kComments, true},
    {"comment-list", kComments, true},
    {"comment-respond", kComments, true},
    {"comment-section", kComments, true},
    {"commentlist", kComments, true},
    {"comments", kComments, true},
    {"comments-area", kComments, true},
    {"comments-link", kBoilerplate, true},
    {"consent", kBoilerplate, false},
    {"content", kContentArea, true},
    {"content-area", kContentArea, true},
    {"content-body", kContentBody, false},
    {"content-main", kContentArea, true},
    {"contentbody", kContentBody, false},
    {"contents", kContentArea, true},
    {"cookie", kBoilerplate, false},
    {"cookie-banner", kBoilerplate, false},
    {"cookiebar", kBoilerplate, false},
    {"cookies", kBoilerplate, false},
    {"copyright", kBoilerplate, false},
    {"criteo", kBoilerplate, false},
    {"d-none", kHidden, true},
    {"dfp", kBoilerplate, false},
    {"display-none", kHidden, true},
    {"disqus", kComments, true},
    {"disqus-thread", kComments, true},
    {"dropdown", kBoilerplate, false},
    {"edit-link", kBoilerplate, false},
    {"edit-page", kBoilerplate, false},
    {"edit-section", kBoilerplate, false},
    {"editsection", kBoilerplate, false},
    {"entry-content", kContentBody, false},
    {"entry-footer", kBoilerplate, false},
    {"entry-meta", kBoilerplate, false},
    {"entry-tags", kBoilerplate, false},
    {"entrycontent", kContentBody, false},
    {"facets", kBoilerplate, true},
    {"feedback-form", kBoilerplate, false},
    {"filters", kBoilerplate, true},
    {"followus", kBoilerplate, false},
    {"footer", kBoilerplate, true},
    {"footer-menu", kBoilerplate, false},
    {"footer-nav", kBoilerplate, false},
    {"footer-widget", kBoilerplate, false},
    {"footer-widgets", kBoilerplate, false},
    {"footers", kBoilerplate, true},
    {"gdpr", kBoilerplate, false},
    {"global-footer", kBoilerplate, false},
    {"global-header", kBoilerplate, false},
    {"global-nav", kBoilerplate, false},
    {"header-nav", kBoilerplate, true},
    {"headerlink", kBoilerplate, false},
    {"hidden", kHidden, true},
    {"hide", kHidden, true},
    {"invisible", kHidden, true},
    {"is-hidden", kHidden, true},
    {"jump-link", kBoilerplate, false},
    {"jumpto", kBoilerplate, false},
    {"lang-switcher", kBoilerplate, false},
    {"language-selector", kBoilerplate, false},
    {"language-switcher", kBoilerplate, false},
    {"languages", kBoilerplate, true},
    {"latest-posts", kBoilerplate, false},
    {"left-col", kSidebar, true},
    {"left-column", kSidebar, true},
    {"left-rail", kSidebar, true},
    {"left-sidebar", kSidebar, true},
    {"leftbar", kSidebar, true},
    {"leftsidebar", kSidebar, true},
    {"lightbox", kBoilerplate, false},
    {"live-chat", kBoilerplate, false},
    {"livechat", kBoilerplate, false},
    {"livefyre", kComments, true},
    {"log-in", kBoilerplate, false},
    {"login", kBoilerplate, true},
    {"logout", kBoilerplate, false},
    {"main", kContentArea, true},
    {"main-article", kContentBody, false},
    {"main-content", kContentArea, true},
    {"main-menu", kBoilerplate, false},
    {"main-nav", kBoilerplate, false},
    {"maincontent", kContentArea, true},
    {"mainnav", kBoilerplate, false},
    {"markdown-body", kContentBody, false},
    {"masthead", kBoilerplate, false},
    {"megamenu", kBoilerplate, false},
    {"menu", kBoilerplate, true},
    {"menu-item", kBoilerplate, false},
    {"menus", kBoilerplate, true},
    {"meta", kBoilerplate, true},
    {"mini-cart", kBoilerplate, false},
    {"minicart", kBoilerplate, false},
    {"mobile-menu", kBoilerplate, false},
    {"mobile-nav", kBoilerplate, false},
    {"modal", kBoilerplate, true},
    {"more-from", kBoilerplate, false},
    {"mw-content-text", kContentArea, true},
    {"mw-editsection", kBoilerplate, true},
    {"mw-hidden", kHidden, true},
    {"mw-jump-link", kBoilerplate, true},
    {"nav", kBoilerplate, true},
    {"nav-bar", kBoilerplate, false},
    {"nav-links", kBoilerplate, false},
    {"nav-menu", kBoilerplate, false},
    {"navbar", kBoilerplate, false},
    {"navbox", kBoilerplate, false},
    {"navi", kBoilerplate, true},
    {"navigation", kBoilerplate, false},
    {"news-content", kContentBody, false},
    {"newscontent", kContentBody, false},
    {"newsletter", kBoilerplate, false},
    {"next-prev", kBoilerplate, false},
    {"noprint", kBoilerplate, false},
    {"offcanvas", kBoilerplate, false},
    {"onetrust", kBoilerplate, false},
    {"outbrain", kBoilerplate, false},
    {"page-content", kContentArea, true},
    {"page-footer", kBoilerplate, false},
    {"page-nav", kBoilerplate, false},
    {"pagecontent", kContentArea, true},
    {"pagenav", kBoilerplate, false},
    {"pager", kBoilerplate, true},
    {"pagination", kBoilerplate, false},
    {"paging", kBoilerplate, false},
    {"parser-output", kContentBody, false},
    {"permalink", kBoilerplate, false},
    {"popular", kBoilerplate, true},
    {"popular-posts", kBoilerplate, false},
    {"popup", kBoilerplate, false},
    {"popups", kBoilerplate, false},
    {"post-body", kContentBody, false},
    {"post-content", kContentBody, false},
    {"post-entry", kContentBody, false},
    {"post-footer", kBoilerplate, false},
    {"post-meta", kBoilerplate, true},
    {"post-nav", kBoilerplate, false},
    {"post-navigation", kBoilerplate, true},
    {"post-tags", kBoilerplate, false},
    {"post-text", kContentBody, false},
    {"postbody", kContentBody, false},
    {"postcontent", kContentBody, false},
    {"posted-on", kBoilerplate, false},
    {"pre-content-nav", kBoilerplate, true},
    {"prev-next", kBoilerplate, false},
    {"primary", kContentArea, true},
    {"print", kBoilerplate, true},
    {"print-button", kBoilerplate, true},
    {"print-only", kBoilerplate, false},
    {"printfooter", kBoilerplate, true},
    {"promo", kBoilerplate, true},
    {"promoted", kBoilerplate, true},
    {"prose", kContentBody, false},
    {"rail", kSidebar, true},
    {"read-more", kBoilerplate, false},
    {"read-next", kBoilerplate, true},
    {"recent-posts", kBoilerplate, false},
    {"recommendations", kBoilerplate, true},
    {"recommended", kBoilerplate, true},
    {"refinements", kBoilerplate, true},
    {"reflist-nav", kBoilerplate, true},
    {"related", kBoilerplate, true},
    {"related-articles", kBoilerplate, false},
    {"related-content", kBoilerplate, false},
    {"related-posts", kBoilerplate, false},
    {"related-stories", kBoilerplate, false},
    {"relatedposts", kBoilerplate, false},
    {"reply-form", kComments, true},
    {"report-abuse", kBoilerplate, false},
    {"respond", kComments, true},
    {"rich-text", kContentBody, false},
    {"richtext", kContentBody, false},
    {"right-col", kSidebar, true},
    {"right-column", kSidebar, true},
    {"right-rail", kSidebar, true},
    {"right-sidebar", kSidebar, true},
    {"rightbar", kSidebar, true},
    {"rightsidebar", kSidebar, true},
    {"screen-only", kBoilerplate, false},
    {"screen-reader-text", kHidden, true},
    {"screenreader-text", kHidden, true},
    {"scroll-top", kBoilerplate, false},
    {"search", kBoilerplate, true},
    {"search-bar", kBoilerplate, false},
    {"search-box", kBoilerplate, false},
    {"search-form", kBoilerplate, false},
    {"searchbox", kBoilerplate, false},
    {"searchform", kBoilerplate, false},
    {"secondary", kSidebar, true},
    {"share", kBoilerplate, true},
    {"share-bar", kBoilerplate, false},
    {"share-button", kBoilerplate, false},
    {"share-buttons", kBoilerplate, false},
    {"share-links", kBoilerplate, false},
    {"sharebar", kBoilerplate, false},
    {"sharedaddy", kBoilerplate, false},
    {"shares", kBoilerplate, true},
    {"sharethis", kBoilerplate, false},
    {"sharing", kBoilerplate, false},
    {"shopping-cart", kBoilerplate, false},
    {"side-bar", kSidebar, true},
    {"side-nav", kBoilerplate, false},
    {"sidebar", kSidebar, true},
    {"sidebar-container", kSidebar, true},
    {"sidebar-left", kSidebar, true},
    {"sidebar-nav", kSidebar, true},
    {"sidebar-right", kSidebar, true},
    {"sidebar-wrapper", kSidebar, true},
    {"sidebars", kSidebar, true},
    {"sidenav", kSidebar, true},
    {"sign-in", kBoilerplate, false},
    {"sign-up", kBoilerplate, false},
    {"signin", kBoilerplate, false},
    {"signup", kBoilerplate, false},
    {"single-content", kContentBody, false},
    {"site-content", kContentArea, true},
    {"site-footer", kBoilerplate, false},
    {"site-header", kBoilerplate, false},
    {"site-main", kContentArea, true},
    {"site-nav", kBoilerplate, false},
    {"sitemap", kBoilerplate, false},
    {"sitesub", kBoilerplate, true},
    {"skip-link", kBoilerplate, false},
    {"skip-to", kBoilerplate, false},
    {"skiplink", kBoilerplate, false},
    {"skiplinks", kBoilerplate, false},
    {"sns", kBoilerplate, true},
    {"social", kBoilerplate, true},
    {"social-icons", kBoilerplate, false},
    {"social-links", kBoilerplate, false},
    {"social-media", kBoilerplate, false},
    {"social-share", kBoilerplate, false},
    {"socials", kBoilerplate, false},
    {"sort-by", kBoilerplate, true},
    {"sphinxsidebar", kBoilerplate, false},
    {"sponsor", kBoilerplate, true},
    {"sponsored", kBoilerplate, false},
    {"sponsors", kBoilerplate, false},
    {"sr-only", kHidden, true},
    {"story-body", kContentBody, false},
    {"story-content", kContentBody, false},
    {"storybody", kContentBody, false},
    {"submenu", kBoilerplate, false},
    {"subnav", kBoilerplate, false},
    {"subscribe", kBoilerplate, false},
    {"subscription", kBoilerplate, true},
    {"taboola", kBoilerplate, false},
    {"tag-list", kBoilerplate, false},
    {"taglist", kBoilerplate, true},
    {"tags", kBoilerplate, true},
    {"tags-links", kBoilerplate, false},
    {"to-top", kBoilerplate, false},
    {"toc-sidebar", kBoilerplate, false},
    {"toolbar", kBoilerplate, true},
    {"tooltip", kBoilerplate, false},
    {"top-bar", kBoilerplate, true},
    {"top-menu", kBoilerplate, false},
    {"topbar", kBoilerplate, false},
    {"topic-body", kContentBody, false},
    {"topnav", kBoilerplate, false},
    {"trending", kBoilerplate, true},
    {"u-hidden", kHidden, true},
    {"up-next", kBoilerplate, true},
    {"user-info", kBoilerplate, true},
    {"userinfo", kBoilerplate, true},
    {"vector-header", kBoilerplate, true},
    {"vector-menu", kBoilerplate, true},
    {"visually-hidden", kHidden, true},
    {"visuallyhidden", kHidden, true},
    {"widget", kSidebar, true},
    {"widget-area", kSidebar, true},
    {"widget-title", kBoilerplate, true},
    {"widgets", kSidebar, true},
    {"wiki-content", kContentBody, false},
    {"wikicontent", kContentBody, false},
    {"wp-block-navigation", kBoilerplate, true},
    {"you-may-also-like", kBoilerplate, true},
    {"you-may-like", kBoilerplate, true},
};

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

uint32_t signal_of(std::string_view word, bool whole) {
  const auto* const found = std::lower_bound(std::begin(kWords), std::end(kWords), word,
                                             [](const Word& a, std::string_view b) { return a.word < b; });
  if (found == std::end(kWords) || found->word != word) return 0;
  return whole || !found->whole ? found->signal : 0;
}

/// A name in the form of the table: "siteHeader", "site__header--dark" and "site_header" are all
/// "site-header".
class Name {
 public:
  explicit Name(std::string_view name) {
    name = name.substr(0, name.find("--", 1));  // a modifier says how, not what
    char before = ' ';
    for (const char c : name) {
      const bool letter = is_lower(c) || is_upper(c) || is_digit(c);
      if (!letter || (is_upper(c) && is_lower(before))) end_word();
      if (letter) push(static_cast<char>(is_upper(c) ? c - 'A' + 'a' : c));
      before = c;
    }
    end_word();
  }

  uint32_t signals() const {
    if (words_ == 0 || words_ == kMaxWords || is_negation(word(0, 0))) return 0;
    uint32_t signals = signal_of(word(0, words_ - 1), true);
    for (size_t i = 0; i < words_; ++i) {
      signals |= signal_of(word(i, i), false);
      if (i > 0) signals |= signal_of(word(i - 1, i), false);
    }
    return signals;
  }

  /// "md:block", "d-lg-flex": shown at some width, so that the "hidden" beside it means another one.
  bool shows() const {
    if (words_ < 2 || words_ == kMaxWords) return false;
    const auto last = word(words_ - 1, words_ - 1);
    return last == "block" || last == "flex" || last == "grid" || last == "inline" || last == "visible";
  }

 private:
  static constexpr size_t kMaxWords = 12, kMaxBytes = 96;

  /// "has-sidebar" and "no-footer" speak of other elements.
  static bool is_negation(std::string_view word) {
    return word == "has" || word == "no" || word == "with" || word == "without" || word == "not" ||
           word == "hide";
  }
  std::string_view word(size_t first, size_t last) const {
    return std::string_view(text_.data(), ends_[last]).substr(first == 0 ? 0 : ends_[first - 1] + 1);
  }
  void push(char c) {
    if (words_ == kMaxWords) return;
    if (size_ + 2 > kMaxBytes) {
      words_ = kMaxWords;  // longer than any word of the table, and generated as a rule
      return;
    }
    if (words_ > 0 && size_ == ends_[words_ - 1]) text_[size_++] = '-';
    text_[size_++] = c;
  }
  void end_word() {
    const size_t before = words_ == 0 ? 0 : ends_[words_ - 1];
    if (words_ < kMaxWords && size_ > before) ends_[words_++] = size_;
  }

  std::array<char, kMaxBytes> text_{};
  std::array<size_t, kMaxWords> ends_{};
  size_t size_ = 0, words_ = 0;
};

}  // namespace

uint32_t class_signals(std::string_view names) {
  constexpr std::string_view kSpaces = " \t\n\r\f";
  uint32_t signals = 0;
  bool shown = false;
  for (size_t at = names.find_first_not_of(kSpaces); at != std::string_view::npos;) {
    const size_t end = std::min(names.find_first_of(kSpaces, at), names.size());
    const std::string_view text = names.substr(at, end - at);
    const Name name(text);
    // Utility classes with a condition ("md:hidden") hold at some width only.
    if (text.find(':') == std::string_view::npos) signals |= name.signals();
    shown = shown || name.shows();
    at = names.find_first_not_of(kSpaces, end);
  }
  return shown ? signals & ~uint32_t{kHidden} : signals;
}

}  // namespace gristmill::web
