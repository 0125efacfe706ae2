#include "curate/sheet.hpp"

#include <algorithm>
#include <cmath>

namespace gristmill::curate {

bool Sheet::note(const Measure& measure) {
  measures_.push_back(measure);
  failed_ |= measure.failed;
  return stopped();
}

const Measure* Sheet::failure() const {
  const auto found =
      std::find_if(measures_.begin(), measures_.end(), [](const Measure& measure) { return measure.failed; });
  return found == measures_.end() ? nullptr : &*found;
}

Json Sheet::values() const {
  Json json = Json::object();
  for (const auto& measure : measures_) {
    // Counts as whole numbers, ratios with six digits: enough to see how near a page came to a limit.
    const double value = measure.value;
    const bool whole = value == std::floor(value) && std::abs(value) < 1e15;
    json[measure.rule] = whole ? Json(static_cast<int64_t>(value)) : Json(std::round(value * 1e6) / 1e6);
  }
  return json;
}

}  // namespace gristmill::curate
