#include "web/class_words.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "base/str.hpp"

namespace gristmill::web {

namespace {

struct Group {
  uint32_t signal;
  bool whole;  ///< only as the whole name: "menu", but not "menu-page"
  std::string_view words;
};

// clang-format off
constexpr Group kGroups[] = {
    {kBoilerplate, false,
     "ad-container ad-slot ad-unit ad-wrapper adbox addthis addtoany adsense adslot adunit adv advert "
     "advertisement advertising adverts also-like article-footer author-bio author-box back-top "
     "banner-ad bottombar breadcrumb breadcrumbs cart-drawer cat-links catlinks chatbot colophon "
     "consent cookie cookie-banner cookiebar cookies copyright criteo dfp dropdown edit-link edit-page "
     "edit-section editsection entry-footer entry-meta entry-tags feedback-form followus footer-menu "
     "footer-nav footer-widget footer-widgets gdpr global-footer global-header global-nav headerlink "
     "jump-link jumpto lang-switcher language-selector language-switcher latest-posts lightbox "
     "live-chat livechat log-in logout main-menu main-nav mainnav masthead megamenu menu-item "
     "mini-cart minicart mobile-menu mobile-nav more-from nav-bar nav-links nav-menu navbar navbox "
     "navigation newsletter next-prev noprint offcanvas onetrust outbrain page-footer page-nav pagenav "
     "pagination paging permalink popular-posts popup popups post-footer post-nav post-tags posted-on "
     "prev-next print-only read-more recent-posts related-articles related-content related-posts "
     "related-stories relatedposts report-abuse screen-only scroll-top search-bar search-box "
     "search-form searchbox searchform share-bar share-button share-buttons share-links sharebar "
     "sharedaddy sharethis sharing shopping-cart side-nav sign-in sign-up signin signup site-footer "
     "site-header site-nav sitemap skip-link skip-to skiplink skiplinks social-icons social-links "
     "social-media social-share socials sphinxsidebar sponsored sponsors submenu subnav subscribe "
     "taboola tag-list tags-links to-top toc-sidebar tooltip top-menu topbar topnav"},
    {kBoilerplate, true,
     "ad addthis-toolbox ads article-meta author-card author-info breadcrumb-trail byline "
     "comments-link facets filters footer footers header-nav languages login menu menus meta modal "
     "mw-editsection mw-jump-link nav navi pager popular post-meta post-navigation pre-content-nav "
     "print print-button printfooter promo promoted read-next recommendations recommended refinements "
     "reflist-nav related search share shares sitesub sns social sort-by sponsor subscription taglist "
     "tags toolbar top-bar trending up-next user-info userinfo vector-header vector-menu widget-title "
     "wp-block-navigation you-may-also-like you-may-like"},
    {kSidebar, true,
     "left-col left-column left-rail left-sidebar leftbar leftsidebar rail right-col right-column "
     "right-rail right-sidebar rightbar rightsidebar secondary side-bar sidebar sidebar-container "
     "sidebar-left sidebar-nav sidebar-right sidebar-wrapper sidebars sidenav widget widget-area "
     "widgets"},
    {kHidden, true,
     "assistive-text d-none display-none hidden hide invisible is-hidden mw-hidden screen-reader-text "
     "screenreader-text sr-only u-hidden visually-hidden visuallyhidden"},
    {kContentBody, false,
     "article-body article-content article-text articlebody articlecontent blog-content body-text "
     "bodytext content-body contentbody entry-content entrycontent main-article markdown-body "
     "news-content newscontent parser-output post-body post-content post-entry post-text postbody "
     "postcontent prose rich-text richtext single-content story-body story-content storybody "
     "topic-body wiki-content wikicontent"},
    {kContentArea, true,
     "bodycontent content content-area content-main contents main main-content maincontent "
     "mw-content-text page-content pagecontent primary site-content site-main"},
    {kComments, true,
     "comment-form comment-list comment-respond comment-section commentlist comments comments-area "
     "disqus disqus-thread livefyre reply-form respond"},
};
// clang-format on

struct Word {
  std::string_view word;
  uint32_t signal;
  bool whole;
};

/// All words of the groups, sorted.
std::vector<Word> sorted_words() {
  std::vector<Word> words;
  for (const auto& group : kGroups) {
    for (const auto word : split(group.words, ' ')) words.push_back({word, group.signal, group.whole});
  }
  std::sort(words.begin(), words.end(), [](const Word& a, const Word& b) { return a.word < b.word; });
  return words;
}

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

uint32_t signal_of(std::string_view word, bool whole) {
  static const std::vector<Word> words = sorted_words();
  const auto found = std::lower_bound(words.begin(), words.end(), word,
                                      [](const Word& a, std::string_view b) { return a.word < b; });
  if (found == words.end() || found->word != word) return 0;
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
