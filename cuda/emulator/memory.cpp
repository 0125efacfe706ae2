#include "emulator/memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <iterator>

#include "base/error.hpp"
#include "base/str.hpp"

namespace gristmill::emulator {
namespace {

constexpr uint64_t kAlignment = 256, kRedZone = 4096, kLargest = uint64_t{1} << 42;

uint64_t marks_at(uint64_t size) { return (size + 7) / 8 * 8; }

void set(std::atomic_ref<uint64_t> word, uint64_t bits, bool value) {
  if (value) {
    word.fetch_or(bits, std::memory_order_relaxed);
  } else {
    word.fetch_and(~bits, std::memory_order_relaxed);
  }
}

}  // namespace

Pages::Pages(size_t bytes) : bytes_(std::max<size_t>(bytes, 1)) {
  void* mapped =
      mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) fail(Kind::device, "emulated GPU: the host has no room for ", bytes, " bytes");
  data_ = static_cast<std::byte*>(mapped);
}

Pages::~Pages() { munmap(data_, bytes_); }

// The marks are zeros at first, whichever of the two that means.
Allocation::Allocation(uint64_t begin, uint64_t size, bool read_only, bool zeros)
    : begin_(begin),
      size_(size),
      read_only_(read_only),
      unwritten_(zeros ? ~uint64_t{0} : 0),
      pages_(marks_at(size) + (size / 64 + 1) * 8) {}

/// Calls body(word, bits) for each word of marks with the bits of the range; stops when it returns false.
template <class Body>
bool Allocation::each_word(uint64_t address, uint64_t size, const Body& body) const {
  auto* words = reinterpret_cast<uint64_t*>(pages_.data() + marks_at(size_));
  for (uint64_t at = address - begin_, end = at + size; at < end;) {
    const uint64_t first = at % 64, count = std::min(64 - first, end - at);
    const uint64_t bits = (count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1) << first;
    if (!body(std::atomic_ref<uint64_t>(words[at / 64]), bits)) return false;
    at += count;
  }
  return true;
}

bool Allocation::initialised(uint64_t address, uint64_t size) const {
  return each_word(address, size, [this](std::atomic_ref<uint64_t> word, uint64_t bits) {
    return ((word.load(std::memory_order_relaxed) ^ unwritten_) & bits) == bits;
  });
}

void Allocation::mark(uint64_t address, uint64_t size) {
  each_word(address, size, [this](std::atomic_ref<uint64_t> word, uint64_t bits) {
    const bool marked = ((word.load(std::memory_order_relaxed) ^ unwritten_) & bits) == bits;
    if (!marked) set(word, bits, unwritten_ == 0);
    return true;
  });
}

void Allocation::forget(uint64_t address, uint64_t size) {
  each_word(address, size, [this](std::atomic_ref<uint64_t> word, uint64_t bits) {
    set(word, bits, unwritten_ != 0);
    return true;
  });
}

Allocation::Page Allocation::page(uint64_t address) const {
  Page page;
  const uint64_t offset = address - begin_, bytes = std::min(Page::kBytes, size_ - offset);
  std::memcpy(page.bytes.data(), pages_.data() + offset, bytes);
  std::memcpy(page.written.data(), pages_.data() + marks_at(size_) + offset / 8, (bytes + 63) / 64 * 8);
  return page;
}

void Allocation::put_page(uint64_t address, const Page& page) {
  const uint64_t offset = address - begin_, bytes = std::min(Page::kBytes, size_ - offset);
  std::memcpy(pages_.data() + offset, page.bytes.data(), bytes);
  std::memcpy(pages_.data() + marks_at(size_) + offset / 8, page.written.data(), (bytes + 63) / 64 * 8);
}

uint64_t Memory::add(uint64_t bytes, bool read_only, bool zeros) {
  if (!has_room(bytes)) {
    fail(Kind::device, "emulated GPU: no room for an allocation of ", bytes, " bytes");
  }
  allocations_.push_back(std::make_unique<Allocation>(next_, bytes, read_only, zeros));
  const uint64_t address = next_;
  next_ = (next_ + bytes + kRedZone + kAlignment - 1) / kAlignment * kAlignment;
  in_use_ += bytes;
  return address;
}

bool Memory::has_room(uint64_t bytes) const {
  return bytes <= kLargest && next_ + bytes + 2 * kRedZone <= kGlobalEnd;
}

Memory::Allocations::iterator Memory::first_from(uint64_t address) {
  return std::lower_bound(allocations_.begin(), allocations_.end(), address,
                          [](const auto& allocation, uint64_t a) { return allocation->begin() < a; });
}

std::pair<uint64_t, uint64_t> Memory::hidden_around(uint64_t address) const {
  const auto after = hidden_.upper_bound(address);
  if (after == hidden_.begin()) return {0, 0};
  const auto around = *std::prev(after);
  if (address - around.first < around.second) return around;
  return {0, 0};
}

void Memory::release(uint64_t address) {
  const auto found = first_from(address);
  if (const auto hidden = hidden_.find(address); hidden != hidden_.end()) {
    in_use_ -= hidden->second;
    allocations_.erase(found, first_from(address + hidden->second));
    hidden_.erase(hidden);
    return;
  }
  if (found == allocations_.end() || (*found)->begin() != address || hidden_around(address).second > 0) {
    fail(Kind::device, "emulated GPU: release of 0x", format_hex64(address),
         ", which is not the start of an allocation");
  }
  in_use_ -= (*found)->size();
  allocations_.erase(found);
}

void Memory::hide(uint64_t address) {
  const auto found = first_from(address);
  if (found == allocations_.end() || (*found)->begin() != address) {
    fail(Kind::device, "emulated GPU: hiding of 0x", format_hex64(address),
         ", which is not the start of an allocation");
  }
  if (hidden_around(address).second == 0) hidden_[address] = (*found)->size();
  allocations_.erase(found);
}

void Memory::show(uint64_t address, uint64_t bytes) {
  const auto [begin, size] = hidden_around(address);
  auto next = first_from(address);
  if (next != allocations_.end() && (*next)->begin() == address) next = allocations_.erase(next);
  const bool is_hidden = size > 0 && bytes <= size - (address - begin) &&
                         (next == allocations_.end() || (*next)->begin() >= address + bytes) &&
                         (next == allocations_.begin() || !(*std::prev(next))->contains(address, 1));
  if (!is_hidden) {
    fail(Kind::device, "emulated GPU: showing ", bytes,
         " bytes that are not all hidden: ", describe(address));
  }
  allocations_.insert(next, std::make_unique<Allocation>(address, bytes, false, false));
}

Allocation* Memory::find(uint64_t address) const {
  const auto after =
      std::upper_bound(allocations_.begin(), allocations_.end(), address,
                       [](uint64_t a, const auto& allocation) { return a < allocation->begin(); });
  if (after == allocations_.begin()) return nullptr;
  Allocation* allocation = std::prev(after)->get();
  return allocation->contains(address, 1) ? allocation : nullptr;
}

std::string Memory::describe(uint64_t address) const {
  const auto after =
      std::upper_bound(allocations_.begin(), allocations_.end(), address,
                       [](uint64_t a, const auto& allocation) { return a < allocation->begin(); });
  if (after != allocations_.begin()) {
    const Allocation& before = **std::prev(after);
    const uint64_t offset = address - before.begin();
    if (offset < before.size()) return str("byte ", offset, " of an allocation of ", before.size());
    if (offset - before.size() < kRedZone)
      return str(offset - before.size(), " bytes behind an allocation of ", before.size());
  }
  if (after != allocations_.end() && (*after)->begin() - address <= kRedZone) {
    return str((*after)->begin() - address, " bytes before an allocation of ", (*after)->size());
  }
  if (hidden_around(address).second > 0) return "memory that nobody holds";
  return str("address 0x", format_hex64(address));
}

Allocation& Memory::range(uint64_t address, uint64_t bytes, const char* what) const {
  Allocation* allocation = find(address);
  if (allocation == nullptr || !allocation->contains(address, bytes)) {
    fail(Kind::device, "emulated GPU: ", what, " of ", bytes,
         " bytes outside every allocation: ", describe(address));
  }
  return *allocation;
}

void Memory::write(uint64_t address, const void* from, uint64_t bytes) {
  if (bytes == 0) return;
  Allocation& allocation = range(address, bytes, "write by the host");
  std::memcpy(allocation.at(address), from, bytes);
  allocation.mark(address, bytes);
}

void Memory::read(uint64_t address, void* to, uint64_t bytes) const {
  if (bytes > 0) std::memcpy(to, range(address, bytes, "read by the host").at(address), bytes);
}

void Memory::fill(uint64_t address, uint8_t value, uint64_t bytes) {
  if (bytes == 0) return;
  Allocation& allocation = range(address, bytes, "fill");
  std::memset(allocation.at(address), value, bytes);
  allocation.mark(address, bytes);
}

void Memory::copy(uint64_t to, uint64_t from, uint64_t bytes) {
  if (bytes == 0) return;
  Allocation &target = range(to, bytes, "copy"), &source = range(from, bytes, "copy");
  std::vector<bool> written(source.initialised(from, bytes) ? 0 : bytes);
  for (size_t i = 0; i < written.size(); ++i) written[i] = source.initialised(from + i, 1);
  std::memmove(target.at(to), source.at(from), bytes);
  target.mark(to, bytes);
  for (size_t i = 0; i < written.size(); ++i) {
    if (!written[i]) target.forget(to + i, 1);
  }
}

void Memory::forget(uint64_t address, uint64_t bytes) {
  if (bytes > 0) range(address, bytes, "forget").forget(address, bytes);
}

bool Memory::initialised(uint64_t address, uint64_t bytes) const {
  return bytes == 0 || range(address, bytes, "look").initialised(address, bytes);
}

}  // namespace gristmill::emulator
