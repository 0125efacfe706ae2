#include "runtime/arena.hpp"

#include "base/error.hpp"

namespace gristmill::runtime {

void ArenaParts::add(Scratch* place, DType type, int64_t elements) {
  constexpr int64_t kLine = 64;
  const int64_t bytes = elements * static_cast<int64_t>(size_of(type));
  parts_.push_back({place, (bytes + kLine - 1) / kLine * kLine});
}

int64_t ArenaParts::bytes() const {
  int64_t sum = 0;
  for (const auto& part : parts_) sum += part.bytes;
  return sum;
}

Buffer ArenaParts::allocate(Device& device) const {
  Buffer memory(device, DType::f32, 1, bytes() / 4);
  int64_t at = 0;
  for (const auto& part : parts_) {
    if (part.place == nullptr) fail(Kind::internal, "an arena whose parts have no place");
    part.place->place(View(memory.view().col_range(at / 4, part.bytes / 4)));
    at += part.bytes;
  }
  return memory;
}

}  // namespace gristmill::runtime
