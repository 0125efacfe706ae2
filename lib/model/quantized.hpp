#pragma once

// Models whose matrices are in int8 (runtime/int8.hpp): a quarter of the memory, and of what decoding a token
// reads. They are made so as they are loaded, tensor by tensor; what was read is not kept, so that such a
// model can be neither trained nor saved. Norms, biases, learned positions, routers, experts and a scalar
// head stay numbers: they are small, or not what dense products read.

#include <span>
#include <vector>

#include "model/config.hpp"
#include "model/parameters.hpp"

namespace gristmill::model {

/// How a model holds the matrices that it multiplies with.
enum class WeightStorage { real, int8 };

/// The table of a configuration. With int8 its matrices stand in an arena of their own, each in whole strips.
/// A row that int8 cannot hold (more than 65,536 columns) is Error{input}.
std::vector<ParameterInfo> stored_table(const Config& config, WeightStorage storage);

/// Writes a tensor's values, in the order of its file, in the form in which it is held.
void write_parameter(ParameterSet& parameters, size_t index, std::span<const float> values);
void write_parameter(ParameterSet& parameters, size_t index, std::span<const double> values);

}  // namespace gristmill::model
