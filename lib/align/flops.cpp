#include "align/flops.hpp"

#include <cstddef>

namespace gristmill::align {

double forward_flops(const model::Config& config, const model::Batch& batch, int64_t head_rows) {
  const auto width = static_cast<double>(config.heads * config.head_dim),
             layers = static_cast<double>(config.layers),
             table = static_cast<double>(config.vocab_size) * static_cast<double>(config.dim);
  const bool language = config.head == model::Head::language;
  const double parameters =
      (config.flops_per_token() - 12 * layers * width * static_cast<double>(config.context)) / 6;
  const double body = parameters - (language && !config.tied ? 2 * table : table);
  double squares = 0;
  for (size_t d = 1; d < batch.document_starts.size(); ++d) {
    const auto length = static_cast<double>(batch.document_starts[d] - batch.document_starts[d - 1]);
    squares += length * length;
  }
  return 2 * body * static_cast<double>(batch.tokens()) +
         (language ? 2 * table * static_cast<double>(head_rows) : 0) + 4 * layers * width * squares;
}

}  // namespace gristmill::align
