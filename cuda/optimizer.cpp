#include <cmath>

#include "cuda/backend.hpp"
#include "cuda/tiles.hpp"
#include "runtime/rounding.hpp"

namespace gristmill::runtime::cuda {

void CudaBackend::adamw(View parameter_view, View m_view, View v_view, ConstView gradient_view,
                        const AdamW& args) {
  checks::adamw(parameter_view, m_view, v_view, gradient_view, types_);
  Rows parameter = rows_of(parameter_view), m = rows_of(m_view), v = rows_of(v_view);
  ConstRows gradient = rows_of(gradient_view);
  flatten(parameter, m, v, gradient);
  const double correction1 = 1 - std::pow(args.beta1, static_cast<double>(args.step));
  const double correction2 = 1 - std::pow(args.beta2, static_cast<double>(args.step));
  const AdamWFactors factors{static_cast<float>(args.beta1),
                             static_cast<float>(args.beta2),
                             static_cast<float>(1 - args.beta1),
                             static_cast<float>(1 - args.beta2),
                             static_cast<float>(args.learning_rate / correction1),
                             static_cast<float>(1 / std::sqrt(correction2)),
                             static_cast<float>(args.epsilon),
                             static_cast<float>(args.learning_rate * args.weight_decay),
                             static_cast<float>(args.gradient_scale)};
  const Tiles tiles = tiled(parameter.rows, parameter.cols);
  gpu_.launch("optimizer/adamw", tiles.shape, parameter, m, v, gradient, factors,
              rounding_of(args.seed, args.step, args.first), tiles.across);
  written(parameter_view, m_view, v_view);
}

}  // namespace gristmill::runtime::cuda
