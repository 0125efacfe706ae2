#pragma once

// report.html of a run: one self-contained page, curves as inline SVG, from metrics.jsonl alone.

#include <string>
#include <utility>
#include <vector>

#include "base/json.hpp"

namespace gristmill::train {

/// A curve: (step, value), finite, steps ascending.
struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;
};

/// Curves over one pair of axes.
struct Chart {
  std::string title;
  std::vector<Series> series;
};

/// An SVG element. Long series are averaged down to what the width can show.
std::string render_chart(const Chart& chart);

/// The page: title, a table of facts, the charts.
std::string render_report(const std::string& title,
                          const std::vector<std::pair<std::string, std::string>>& facts,
                          const std::vector<Chart>& charts);

/// The charts of a run: the loss with all held-out losses, learning rate, gradient norms, then every other
/// numeric key, those with a common part before "/" together.
std::vector<Chart> metric_charts(const std::vector<Json>& lines);

/// Writes RUN_DIR/report.html from RUN_DIR/metrics.jsonl and the options.
void write_report(const std::string& run_dir, const Json& record);

}  // namespace gristmill::train
