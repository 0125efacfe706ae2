#include "emulator/journal.hpp"

#include <algorithm>

namespace gristmill::emulator {
namespace {

/// Whether each page of `after` is what the other launch left there: what it changed it to, or what it was.
bool covers(const Journal::Pages& before, const Journal::Pages& after, const Journal::Pages& other) {
  return std::all_of(after.begin(), after.end(), [&](const auto& entry) {
    const auto found = other.find(entry.first);
    return entry.second == (found != other.end() ? found->second : before.at(entry.first));
  });
}

}  // namespace

void Journal::keep(Allocation& allocation, uint64_t address, uint64_t bytes) {
  constexpr uint64_t kBytes = Allocation::Page::kBytes;
  const uint64_t end = address + bytes;
  uint64_t page = allocation.begin() + (address - allocation.begin()) / kBytes * kBytes;
  if (page == recent_ && end <= page + kBytes) return;
  for (; page < end; page += kBytes) {
    if (kept_.find(page) == kept_.end()) kept_[page] = {&allocation, allocation.page(page)};
    recent_ = page;
  }
}

Journal::Pages Journal::before() const {
  Pages pages;
  for (const auto& [address, kept] : kept_) pages.emplace_hint(pages.end(), address, kept.page);
  return pages;
}

Journal::Pages Journal::now() const {
  Pages pages;
  for (const auto& [address, kept] : kept_) {
    pages.emplace_hint(pages.end(), address, kept.allocation->page(address));
  }
  return pages;
}

void Journal::undo() {
  for (const auto& [address, kept] : kept_) kept.allocation->put_page(address, kept.page);
  kept_.clear();
  recent_ = UINT64_MAX;
}

bool same_effect(const Journal::Pages& before_one, const Journal::Pages& after_one,
                 const Journal::Pages& before_other, const Journal::Pages& after_other) {
  return covers(before_one, after_one, after_other) && covers(before_other, after_other, after_one);
}

}  // namespace gristmill::emulator
