#include "align/flops.hpp"

#include <cstddef>

namespace gristmill::align {

ForwardFlops::ForwardFlops(const model::Config& config) {
  const bool language = config.head == model::Head::language;
  const auto table = static_cast<double>(config.vocab_size) * static_cast<double>(config.dim);
  const auto body =
      static_cast<double>(config.active_parameter_count()) - (language && !config.tied ? 2 * table : table);
  a_token_ = 2 * body;
  a_head_row_ = language ? 2 * table : 0;
  a_square_ = 4 * static_cast<double>(config.layers) * static_cast<double>(config.heads * config.head_dim);
}

double ForwardFlops::operator()(const model::Batch& batch, int64_t head_rows) const {
  double squares = 0;
  for (size_t d = 1; d < batch.document_starts.size(); ++d) {
    const auto length = static_cast<double>(batch.document_starts[d] - batch.document_starts[d - 1]);
    squares += length * length;
  }
  return a_token_ * static_cast<double>(batch.tokens()) + a_head_row_ * static_cast<double>(head_rows) +
         a_square_ * squares;
}

}  // namespace gristmill::align
