#pragma once

// Memory of one GPU: large chunks from the driver, handed out in pieces. The driver's own allocation takes
// long and giving memory back to it waits for the GPU; a piece that is given back here is handed out again at
// once, since all work is on one stream: whoever gets it next comes later in the stream than whoever had it.
//
// Of the free pieces the smallest that is large enough is taken, of equal ones the first by address (best
// fit; Wilson et al. 1995, "Dynamic Storage Allocation: A Survey and Critical Review"), and free neighbours
// become one. Large pieces have chunks of their own, which no small one splits: what a buffer that has grown
// leaves behind can go back whole.
//
// The emulated GPU is told what is handed out (Driver::show_async): it sees each access outside a piece, and
// pieces lie apart there. On hardware compute-sanitizer knows chunks alone; without an arena (DeviceOptions)
// each piece is an allocation of the driver's.

#include <array>
#include <cstddef>
#include <map>
#include <set>
#include <utility>

#include "cuda/driver/driver.hpp"

namespace gristmill::runtime::cuda {

class MemoryArena {
 public:
  /// `pooled` = false: each piece is an allocation of the driver's, and giving it back waits.
  MemoryArena(const Driver& driver, Stream stream, bool pooled);
  /// Gives all chunks back. Nothing that uses them may be under way.
  ~MemoryArena();
  MemoryArena(const MemoryArena&) = delete;
  MemoryArena& operator=(const MemoryArena&) = delete;

  /// A piece with undefined content, aligned to 256 bytes. Error{device} that says how much was asked for and
  /// what is free.
  void* allocate(size_t bytes);
  /// The same, but null if there is no room.
  void* try_allocate(size_t bytes);
  /// Takes a piece back; work on the stream may still use it, other streams must have been joined. Error
  /// {internal} for what is no piece.
  void release(void* memory);
  /// The piece's content is undefined again, and only its first `bytes` are used until the next call. They
  /// must not be more than were allocated.
  void renew(void* memory, size_t bytes);

  /// Bytes of chunks that are not handed out, and the largest piece of them.
  size_t free_bytes() const { return free_bytes_; }
  size_t largest_free() const;
  /// Gives those chunks back of which nothing is handed out; waits for the stream if there are any.
  void give_back();

 private:
  struct Chunk {
    size_t size = 0;
    bool large = false;
  };
  struct Piece {
    size_t size = 0;
    bool is_free = false, large = false;
  };
  using Pieces = std::map<DevicePointer, Piece>;

  /// Takes `size` bytes from the best free piece of a kind; 0 if none is large enough.
  DevicePointer take(size_t size, bool large);
  /// One chunk more that holds `size` bytes; false if the driver has no room.
  bool add_chunk(size_t size, bool large);
  bool add_chunk_of(size_t size, bool large);
  void set_free(Pieces::iterator piece, bool is_free);
  Pieces::iterator joined(Pieces::iterator piece);
  void drop_chunk(std::map<DevicePointer, Chunk>::iterator chunk);
  [[noreturn]] void refuse(size_t bytes) const;

  const Driver& driver_;
  Stream stream_;
  const bool pooled_;
  std::map<DevicePointer, Chunk> chunks_;
  Pieces pieces_;                                                   ///< of all chunks, without gaps
  std::array<std::set<std::pair<size_t, DevicePointer>>, 2> free_;  ///< by size; small ones, large ones
  size_t free_bytes_ = 0;
};

}  // namespace gristmill::runtime::cuda
