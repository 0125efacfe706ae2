#pragma once

// The emulated GPU's global memory: allocations far from each other in an address range of their own, so that
// an access outside is always seen, addresses are the same in every run, and the host cannot follow them.
// Each byte knows whether it was ever written. Freed addresses are not given out again. Pages that nobody
// touches take no memory of the host.

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace gristmill::emulator {

constexpr uint64_t kGlobalBase = 0x0000'0200'0000'0000, kGlobalEnd = 0x0000'7000'0000'0000;

/// A part of the host's address space that reads as zeros and is backed page by page as it is written.
class Pages {
 public:
  explicit Pages(size_t bytes);
  ~Pages();
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  std::byte* data() const { return data_; }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

class Journal;

class Allocation {
 public:
  /// A piece of an allocation: its bytes, and a bit for each that tells whether it was written.
  struct Page {
    static constexpr uint64_t kBytes = 4096;
    std::array<std::byte, kBytes> bytes = {};
    std::array<uint64_t, kBytes / 64> written = {};
    bool operator==(const Page&) const = default;
  };

  /// `zeros`: it counts as written, with zeros.
  Allocation(uint64_t begin, uint64_t size, bool read_only, bool zeros);

  uint64_t begin() const { return begin_; }
  uint64_t size() const { return size_; }
  bool read_only() const { return read_only_; }
  bool contains(uint64_t address, uint64_t size) const {
    return address >= begin_ && size <= size_ && address - begin_ <= size_ - size;
  }
  /// The host's bytes of an address inside.
  std::byte* at(uint64_t address) const { return pages_.data() + (address - begin_); }

  /// Whether all bytes of a range inside were written. Safe beside mark() of other threads.
  bool initialised(uint64_t address, uint64_t size) const;
  void mark(uint64_t address, uint64_t size);
  void forget(uint64_t address, uint64_t size);

  /// The page at a multiple of Page::kBytes from the allocation's begin; what lies behind its end is zeros.
  Page page(uint64_t address) const;
  void put_page(uint64_t address, const Page& page);

 private:
  template <class Body>
  bool each_word(uint64_t address, uint64_t size, const Body& body) const;

  uint64_t begin_, size_;
  bool read_only_;
  uint64_t unwritten_;  ///< a word of marks none of whose bytes were written
  Pages pages_;         ///< the bytes, then a mark of one bit for each
};

/// Allocations by address. Kernels may run on several host threads; allocate and release only between
/// launches.
class Memory {
 public:
  Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  /// Zero bytes are allowed; the address is a multiple of 256. Error{device} unless has_room().
  uint64_t allocate(uint64_t bytes, bool read_only = false) { return add(bytes, read_only, false); }
  /// The same, filled with zeros, which takes no memory of the host until others are written.
  uint64_t allocate_zeros(uint64_t bytes, bool read_only = false) { return add(bytes, read_only, true); }
  /// Error{device} for an address that allocate() did not give out or that is free.
  void release(uint64_t address);

  /// Host accesses; Error{device} unless all of it lies in one allocation. write() and fill() ignore
  /// read-only.
  void write(uint64_t address, const void* from, uint64_t bytes);
  void read(uint64_t address, void* to, uint64_t bytes) const;
  void fill(uint64_t address, uint8_t value, uint64_t bytes);
  /// Also carries over which bytes were written. The ranges may overlap.
  void copy(uint64_t to, uint64_t from, uint64_t bytes);
  /// Makes a range count as never written: what an allocator above hands out anew.
  void forget(uint64_t address, uint64_t bytes);
  bool initialised(uint64_t address, uint64_t bytes) const;

  /// For allocators above: nothing of the allocation that begins there may be touched from here on. Where
  /// show() has opened it, it goes back into the allocation around it.
  void hide(uint64_t address);
  /// Opens bytes of an allocation that is hidden, as one by itself that was never written; in place of what
  /// was open from the same address on. Error{device} if they are not all hidden.
  void show(uint64_t address, uint64_t bytes);

  /// The allocation that holds the address; null if none.
  Allocation* find(uint64_t address) const;
  /// Where an address lies: "byte 12 of 400 at …", "4 bytes behind 400 bytes at …".
  std::string describe(uint64_t address) const;
  uint64_t bytes_in_use() const { return in_use_; }
  bool has_room(uint64_t bytes) const;

  /// What kernels write from now on is kept there before it changes; null: no longer. Only for launches on
  /// one thread of the host.
  void set_journal(Journal* journal) { journal_ = journal; }
  Journal* journal() const { return journal_; }

 private:
  uint64_t add(uint64_t bytes, bool read_only, bool zeros);
  Allocation& range(uint64_t address, uint64_t bytes, const char* what) const;
  using Allocations = std::vector<std::unique_ptr<Allocation>>;
  /// The first allocation that begins at the address or behind it.
  Allocations::iterator first_from(uint64_t address);
  /// Begin and size of the hidden allocation around an address; zeros if there is none.
  std::pair<uint64_t, uint64_t> hidden_around(uint64_t address) const;
  Allocations allocations_;              // by address
  std::map<uint64_t, uint64_t> hidden_;  // begins and sizes of those that hide() was called for
  uint64_t next_ = kGlobalBase, in_use_ = 0;
  Journal* journal_ = nullptr;
};

}  // namespace gristmill::emulator
