#pragma once

// How a model holds its weights: in the device's real type, all of them in bf16, half the memory, or its
// matrices in int8 (runtime/int8.hpp), a quarter of it, and of what decoding a token reads.
//
// With bf16 a model can be trained: updates are rounded stochastically (runtime/rounding.hpp). int8 weights
// are made so as they are loaded, tensor by tensor; what was read is not kept, so that such a model can be
// neither trained nor saved. Norms, biases, learned positions, routers, experts and a scalar head stay
// numbers: they are small, or not what dense products read.

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "model/config.hpp"
#include "model/parameters.hpp"

namespace gristmill::model {

enum class WeightStorage { real, bf16, int8 };
/// By the names that options have for them.
inline const std::vector<std::pair<std::string, WeightStorage>> kWeightStorages = {
    {"real", WeightStorage::real}, {"bf16", WeightStorage::bf16}, {"int8", WeightStorage::int8}};

/// The type of what is held as numbers. bf16 on a device that does not compute in it is Error{usage}.
runtime::DType number_type(const runtime::Device& device, WeightStorage storage);

/// The table of a configuration. With int8 its matrices stand in an arena of their own, each in whole strips.
/// A row that int8 cannot hold (more than 65,536 columns) is Error{input}.
std::vector<ParameterInfo> stored_table(const Config& config, WeightStorage storage);

/// Writes a tensor's values, in the order of its file, in the form in which it is held.
void write_parameter(ParameterSet& parameters, size_t index, std::span<const float> values);
void write_parameter(ParameterSet& parameters, size_t index, std::span<const double> values);

}  // namespace gristmill::model
