#include "runtime/host_memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "base/error.hpp"

namespace gristmill::runtime {

void* allocate_host(size_t bytes, const char* device) {
  constexpr size_t kLine = 64, kHugePage = size_t{2} << 20;
  const size_t alignment = bytes >= 2 * kHugePage ? kHugePage : kLine;
  const size_t rounded = bytes == 0 ? alignment : (bytes + alignment - 1) / alignment * alignment;
  // Linux promises memory that it does not have and kills the process that touches it: ask for what the
  // machine holds at most.
  const size_t machine =
      static_cast<size_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const bool possible = rounded >= bytes && rounded <= machine;
  void* memory = possible ? std::aligned_alloc(alignment, rounded) : nullptr;
  if (memory == nullptr) {
    fail(Kind::device, "device ", device, " has no ", bytes,
         " bytes of memory left: use smaller batches or a smaller model");
  }
  if (alignment == kHugePage) ::madvise(memory, rounded, MADV_HUGEPAGE);
  std::memset(memory, 0, rounded);
  return memory;
}

void release_host(void* memory) noexcept { std::free(memory); }

}  // namespace gristmill::runtime
