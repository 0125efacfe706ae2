#include "emulator/cublas/product.hpp"

#include <array>
#include <cstring>
#include <vector>

#include "base/error.hpp"
#include "base/str.hpp"
#include "emulator/numeric.hpp"

namespace gristmill::emulator::cublas {

namespace {

constexpr uint64_t kMark = 0x6372'6973'746d'696c, kWorkspace = 4096;
constexpr int64_t kMostPitch = int64_t{1} << 40;

int64_t size_of(int type) { return type == cuda::kTypeBf16 ? 2 : 4; }

/// A matrix of a call: where it lies.
struct Placed {
  const char* name;
  uint64_t address;
  Layout layout;

  uint64_t column_bytes() const { return static_cast<uint64_t>(layout.rows * size_of(layout.type)); }
  uint64_t column(int64_t index) const {
    return address + static_cast<uint64_t>(index * layout.pitch * size_of(layout.type));
  }
  uint64_t end() const { return layout.cols == 0 ? address : column(layout.cols - 1) + column_bytes(); }
};

bool fits(const Layout& layout) {
  return layout.rows > 0 && layout.cols > 0 && layout.pitch >= layout.rows && layout.pitch <= kMostPitch;
}

std::string title(const Call& call) {
  return str("emulated cuBLASLt: a product of ", call.problem.d.rows, " x ", call.problem.d.cols, ", ",
             call.problem.depth(), " deep: ");
}

/// Column by column: between them others may lie.
void expect_in_memory(const Call& call, const Placed& matrix, Memory& memory, bool is_written) {
  for (int64_t c = 0; c < matrix.layout.cols; ++c) {
    const uint64_t address = matrix.column(c), bytes = matrix.column_bytes();
    const Allocation* allocation = memory.find(address);
    if (allocation == nullptr || !allocation->contains(address, bytes)) {
      fail(Kind::device, title(call), matrix.name, " lies outside memory: column ", c, " of ", bytes,
           " bytes begins at ", memory.describe(address));
    }
    if (is_written && allocation->read_only()) {
      fail(Kind::device, title(call), matrix.name, " lies in read-only memory");
    }
    if (!is_written && !allocation->initialised(address, bytes)) {
      fail(Kind::device, title(call), matrix.name, " was not written: column ", c, " of ", bytes,
           " bytes, which begins at ", memory.describe(address));
    }
  }
}

bool overlap(uint64_t a, uint64_t a_end, uint64_t b, uint64_t b_end) { return a < b_end && b < a_end; }

/// Whether any column of two matrices shares a byte: matrices may lie in each other's gaps.
bool overlap(const Placed& one, const Placed& other) {
  if (!overlap(one.address, one.end(), other.address, other.end())) return false;
  for (int64_t i = 0; i < one.layout.cols; ++i) {
    for (int64_t j = 0; j < other.layout.cols; ++j) {
      if (overlap(one.column(i), one.column(i) + one.column_bytes(), other.column(j),
                  other.column(j) + other.column_bytes()))
        return true;
    }
  }
  return false;
}

/// A column's values in f32.
void load(float* to, const Placed& matrix, int64_t column, Memory& memory) {
  const uint64_t address = matrix.column(column);
  const std::byte* from = memory.find(address)->at(address);
  if (matrix.layout.type == cuda::kTypeF32) {
    std::memcpy(to, from, matrix.column_bytes());
    return;
  }
  for (int64_t r = 0; r < matrix.layout.rows; ++r) {
    uint16_t bits = 0;
    std::memcpy(&bits, from + 2 * r, sizeof bits);
    to[r] = bf16_to_f32(bits);
  }
}

void store(const float* values, const Placed& matrix, int64_t column, Memory& memory) {
  if (matrix.layout.type == cuda::kTypeF32) {
    return memory.write(matrix.column(column), values, matrix.column_bytes());
  }
  std::vector<uint16_t> bits(static_cast<size_t>(matrix.layout.rows));
  for (size_t r = 0; r < bits.size(); ++r) bits[r] = f32_to_bf16(values[r]);
  memory.write(matrix.column(column), bits.data(), matrix.column_bytes());
}

/// The whole matrix in f32; `turned`: row by row.
std::vector<float> packed(const Placed& matrix, bool turned, Memory& memory) {
  const int64_t rows = matrix.layout.rows, cols = matrix.layout.cols;
  std::vector<float> all(static_cast<size_t>(rows * cols)), column(static_cast<size_t>(rows));
  for (int64_t c = 0; c < cols; ++c) {
    if (!turned) {
      load(all.data() + c * rows, matrix, c, memory);
      continue;
    }
    load(column.data(), matrix, c, memory);
    for (int64_t r = 0; r < rows; ++r)
      all[static_cast<size_t>(r * cols + c)] = column[static_cast<size_t>(r)];
  }
  return all;
}

void expect_apart(const Call& call, const Placed& d, const Placed& other) {
  if (overlap(d, other)) fail(Kind::device, title(call), "D lies over ", other.name);
}

}  // namespace

cuda::CublasStatus status_of(const Problem& problem) {
  const auto& [product, a, b, c, d] = problem;
  const auto known = [](int operation) {
    return operation == cuda::kAsStored || operation == cuda::kTransposed;
  };
  if (!known(product.transpose_a) || !known(product.transpose_b)) return cuda::kCublasInvalidValue;
  const bool turned_a = product.transpose_a == cuda::kTransposed,
             turned_b = product.transpose_b == cuda::kTransposed;
  const int64_t rows = turned_a ? a.cols : a.rows, cols = turned_b ? b.rows : b.cols,
                depth = turned_b ? b.cols : b.rows;
  const bool shapes = fits(a) && fits(b) && fits(c) && fits(d) && d.rows == rows && d.cols == cols &&
                      c.rows == rows && c.cols == cols && problem.depth() == depth;
  if (!shapes) return cuda::kCublasInvalidValue;
  const bool from_halves = a.type == cuda::kTypeBf16;
  const bool types = product.compute == cuda::kComputeF32 && product.scale == cuda::kTypeF32 &&
                     (from_halves || a.type == cuda::kTypeF32) && b.type == a.type && c.type == d.type &&
                     (d.type == cuda::kTypeF32 || (d.type == cuda::kTypeBf16 && from_halves));
  const bool epilogue = product.epilogue == cuda::kEpilogueNone || product.epilogue == cuda::kEpilogueBias;
  return types && epilogue ? cuda::kCublasSuccess : cuda::kCublasNotSupported;
}

Choice choice_of(const Problem& problem, const Preference& preference) {
  Choice choice = {};
  choice.mark = kMark;
  const auto& [product, a, b, c, d] = problem;
  uint64_t hash = 0xcbf2'9ce4'8422'2325;  // FNV-1a over what must stay the same
  const auto add = [&](auto... values) {
    ((hash = (hash ^ static_cast<uint64_t>(values)) * 0x100'0000'01b3), ...);
  };
  add(product.compute, product.scale, product.transpose_a, product.transpose_b, product.epilogue);
  for (const Layout& layout : {a, b, c, d}) add(layout.type, layout.rows, layout.cols, layout.pitch);
  choice.problem = hash;
  choice.workspace = preference.most_workspace >= kWorkspace ? kWorkspace : 0;
  choice.align_a = preference.align_a;
  choice.align_b = preference.align_b;
  choice.align_c = preference.align_c;
  choice.align_d = preference.align_d;
  choice.align_bias = 256;
  while (product.bias % choice.align_bias != 0) choice.align_bias /= 2;
  return choice;
}

void expect_as_chosen(const Call& call, const Choice& choice) {
  if (choice.mark != kMark) fail(Kind::device, title(call), "its algorithm comes from no search");
  const Choice now = choice_of(call.problem, {});
  if (choice.problem != now.problem) {
    fail(Kind::device, title(call), "its algorithm was chosen for another product");
  }
  const bool biased = call.problem.product.epilogue == cuda::kEpilogueBias;
  const auto promised = [&](const char* name, uint64_t address, const Layout& layout, uint32_t alignment) {
    const auto pitch = layout.cols > 1 ? static_cast<uint64_t>(layout.pitch * size_of(layout.type)) : 0;
    if (address % alignment == 0 && pitch % alignment == 0) return;
    fail(Kind::device, title(call), name, " does not lie on ", alignment, " bytes, as was promised");
  };
  promised("A", call.a, call.problem.a, choice.align_a);
  promised("B", call.b, call.problem.b, choice.align_b);
  promised("C", call.c, call.problem.c, choice.align_c);
  promised("D", call.d, call.problem.d, choice.align_d);
  if (biased) promised("the bias", call.problem.product.bias, {}, choice.align_bias);
  promised("the workspace", call.workspace, {}, 256);
}

void run(const Call& call, Memory& memory) {
  const auto& [product, a, b, c, d] = call.problem;
  const Placed at_a{"A", call.a, a}, at_b{"B", call.b, b}, at_c{"C", call.c, c}, at_d{"D", call.d, d},
      bias{"the bias", product.bias, {d.type, d.rows, 1, d.rows}},
      workspace{"the workspace",
                call.workspace,
                {cuda::kTypeF32, static_cast<int64_t>(call.workspace_bytes / 4), 1, 0}};
  const bool biased = product.epilogue == cuda::kEpilogueBias, adds = call.beta != 0;
  std::vector<Placed> inputs = {at_a, at_b};
  if (biased) inputs.push_back(bias);
  for (const Placed& input : inputs) expect_apart(call, at_d, input);
  const bool in_place = call.c == call.d && c.pitch == d.pitch;
  if (adds && !in_place) expect_apart(call, at_d, at_c);
  if (adds) inputs.push_back(at_c);
  for (const Placed& input : inputs) expect_in_memory(call, input, memory, false);
  expect_in_memory(call, at_d, memory, true);
  if (call.workspace_bytes > 0) {
    expect_in_memory(call, workspace, memory, true);
    memory.fill(call.workspace, 0xff, call.workspace_bytes);  // no numbers, for those who share it
  }
  const std::vector<float> left = packed(at_a, product.transpose_a == cuda::kTransposed, memory),
                           right =
                               packed(at_b, product.transpose_b == cuda::kAsStored ? false : true, memory);
  const auto rows = static_cast<size_t>(d.rows), depth = static_cast<size_t>(call.problem.depth());
  std::vector<float> sums(rows), added(rows), offsets(rows);
  if (biased) load(offsets.data(), bias, 0, memory);
  for (int64_t col = 0; col < d.cols; ++col) {
    std::fill(sums.begin(), sums.end(), 0.0F);
    for (size_t k = 0; k < depth; ++k) {
      const float factor = right[static_cast<size_t>(col) * depth + k];
      const float* from = left.data() + k * rows;
      for (size_t r = 0; r < rows; ++r) sums[r] += from[r] * factor;
    }
    if (adds) load(added.data(), at_c, col, memory);
    for (size_t r = 0; r < rows; ++r) {
      sums[r] = call.alpha * sums[r];
      if (adds) sums[r] += call.beta * added[r];
      if (biased) sums[r] += offsets[r];
    }
    store(sums.data(), at_d, col, memory);
  }
}

}  // namespace gristmill::emulator::cublas
