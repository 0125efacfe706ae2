// Element-wise work, rows by index, and sums: bound by memory, so that what counts is that neighbouring lanes
// touch neighbouring bytes.

#include "cuda/rows.cuh"

using namespace gristmill::runtime::cuda;

extern "C" __global__ void fill(Rows out, uint32_t across, float value) {
  const Place at = place_in(across, out.rows, out.cols);
  if (at.count > 0) store(out, at.row, at.col, {value, value, value, value}, at.count);
}
