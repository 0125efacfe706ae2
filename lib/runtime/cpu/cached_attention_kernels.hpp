#pragma once

// Attention of one new row over a cache: all of its heads, block of keys after block of keys. A block's rows
// are read whole, one behind the other, as fast as memory gives them, and its heads then find them in the
// second-level cache; head after head would jump from row to row, and wait for memory each time. Each head's
// sums are those of attention_few(), so that decoding gives the bits of training.

#include "runtime/cpu/attention_kernels.hpp"
#include "runtime/cpu/attention_packing.hpp"
#include "runtime/cpu/kernels.hpp"

namespace gristmill::runtime::cpu {
namespace {

/// Loads one word of each line of `rows` rows from `first` on, `cols` of each, in order: the hardware runs
/// ahead of such loads, as it does not of loads here and there, or of prefetches.
GRISTMILL_INLINE void touch_rows(const Operand& m, int64_t first, int64_t rows, int64_t cols) {
  const int64_t bytes = cols * bytes_of(m);
  for (int64_t r = first; r < first + rows; ++r) {
    const char* row = element(m, r, 0);
    for (int64_t i = 0; i < bytes; i += 64) asm volatile("" : : "r"(row[i]));
  }
}

/// Memory of a row: what one head needs for a block, and what each key head keeps.
template <class Format>
struct RowScratch {
  RowScratch(Cursor& cursor, int64_t dim, int64_t kv_heads) : block(cursor, dim) {
    queries_size = steps_of<Format>(dim) * kFewQueries;
    sums_size = kFewQueries * block.width;
    queries = cursor.take(kv_heads * queries_size);
    sums = cursor.take(kv_heads * sums_size);
    states = cursor.take(kv_heads * kStateSize);
  }
  /// The scratch of key head `head`.
  FewScratch<Format> of(int64_t head) const {
    FewScratch<Format> one = block;
    one.queries_t = queries + head * queries_size;
    one.sums = sums + head * sums_size;
    return one;
  }
  float* highest(int64_t head) const { return states + head * kStateSize; }
  float* total(int64_t head) const { return highest(head) + kFewQueries; }

  static constexpr int64_t kStateSize = 2 * kFewQueries;
  FewScratch<Format> block;
  int64_t queries_size, sums_size;
  float *queries, *sums, *states;
};

/// `args` with the queries of the first key head's group; the others' are one group, or one head, further.
template <class Format>
void attention_row(const AttentionBlock& args, int64_t kv_heads) {
  Cursor cursor(args.scratch);
  const RowScratch<Format> scratch(cursor, args.head_dim, kv_heads);
  const auto head_of = [&](int64_t h) {
    AttentionBlock head = args;
    head.q = from_row(args.q, h * args.queries);
    head.k = from_column(args.k, h * args.head_dim);
    head.v = from_column(args.v, h * args.head_dim);
    return head;
  };
  for (int64_t h = 0; h < kv_heads; ++h)
    begin_few<Format>(head_of(h), scratch.of(h), scratch.highest(h), scratch.total(h));
  const int64_t keys = args.first_length, cols = kv_heads * args.head_dim;
  for (int64_t key = 0; key < keys; key += kKeyBlock) {
    const int64_t block = lesser(kKeyBlock, keys - key);
    touch_rows(args.k, key, block, cols);
    touch_rows(args.v, key, block, cols);
    for (int64_t h = 0; h < kv_heads; ++h)
      few_block<Format>(head_of(h), scratch.of(h), scratch.highest(h), scratch.total(h), key, block);
  }
  for (int64_t h = 0; h < kv_heads; ++h) {
    finish_few<Format>(head_of(h), scratch.of(h), scratch.highest(h), scratch.total(h), h * args.queries);
  }
}

template <class Format>
int64_t attention_row_scratch(int64_t head_dim, int64_t kv_heads) {
  Cursor cursor(nullptr);
  RowScratch<Format>(cursor, head_dim, kv_heads);
  return cursor.taken();
}

}  // namespace
}  // namespace gristmill::runtime::cpu
