#include "train/outliers.hpp"

#include <cmath>

#include "base/error.hpp"

namespace gristmill::train {

double OutlierWindow::score(double value) {
  double z = 0;
  if (values_.size() == kSize) {
    double sum = 0, squares = 0;
    for (const double seen : values_) sum += seen;
    const double mean = sum / kSize;
    for (const double seen : values_) squares += (seen - mean) * (seen - mean);
    const double deviation = std::sqrt(squares / kSize);
    if (deviation > 0) z = (value - mean) / deviation;
    values_.erase(values_.begin());
  }
  values_.push_back(value);
  return z;
}

Json OutlierWindow::to_json() const {
  Json json = Json::array();
  for (const double value : values_) json.push_back(value);
  return json;
}

void OutlierWindow::load(const Json& json) {
  values_.clear();
  for (const auto& value : json.as_array()) values_.push_back(value.as_double());
  if (values_.size() > kSize) fail(Kind::input, "more than ", kSize, " values in the window of outliers");
}

}  // namespace gristmill::train
