#include "train/report.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <map>
#include <string_view>

#include "base/file.hpp"
#include "base/str.hpp"
#include "train/metrics.hpp"

namespace gristmill::train {
namespace {

constexpr double kWidth = 720, kHeight = 260, kLeft = 64, kRight = 12, kTop = 12, kBottom = 34;
constexpr size_t kMaxPoints = 700;
constexpr const char* kColours[] = {"#2563eb", "#dc2626", "#059669", "#d97706",
                                    "#7c3aed", "#0891b2", "#be185d", "#4d7c0f"};

constexpr const char* kStyle =
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:46rem;padding:0 "
    "1rem;color:#1f2937;background:#fff}"
    "h1{font-size:1.4rem}h2{font-size:1rem;margin:1.6rem 0 .3rem}table{border-collapse:collapse}"
    "td{padding:.1rem 1rem .1rem "
    "0;vertical-align:top}td:first-child{color:#6b7280}svg{width:100%;height:auto}"
    ".key{display:inline-block;margin-right:1rem}.key "
    "i{display:inline-block;width:.8rem;height:.2rem;margin:0 .4rem .2rem 0}"
    "text{font:11px system-ui,sans-serif;fill:#6b7280}.grid{stroke:#e5e7eb}"
    "@media(prefers-color-scheme:dark){body{background:#111827;color:#e5e7eb}.grid{stroke:#374151}}";

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

/// A number for people: four significant digits.
std::string shown(double value) {
  if (value == 0) return "0";
  const double size = std::abs(value);
  if (size >= 1e6 || size < 1e-3) {
    const auto exponent = static_cast<int>(std::floor(std::log10(size) + 1e-9));
    return str(shown(value / std::pow(10.0, exponent)), "e", exponent);
  }
  std::string text = format_fixed(value, size >= 100 ? 1 : size >= 1 ? 3 : 5);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

/// 1, 2 or 5 times a power of ten, so that about four ticks lie in `span`.
double tick_step(double span) {
  const double rough = span / 4, power = std::pow(10.0, std::floor(std::log10(rough))), lead = rough / power;
  return (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10) * power;
}

struct Axis {
  double low = INFINITY, high = -INFINITY, from = 0, to = 1;
  void include(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  void widen() {
    if (low < high) return;
    const double pad = low == 0 ? 1 : std::abs(low) * 0.1;
    low -= pad;
    high += pad;
  }
  double place(double value) const { return from + (value - low) / (high - low) * (to - from); }
  std::vector<double> ticks() const {
    std::vector<double> out;
    const double step = tick_step(high - low);
    for (double i = std::ceil(low / step); i * step <= high && out.size() < 20; ++i) out.push_back(i * step);
    return out;
  }
};

std::vector<std::pair<double, double>> thinned(const std::vector<std::pair<double, double>>& points) {
  if (points.size() <= kMaxPoints) return points;
  std::vector<std::pair<double, double>> out;
  for (size_t bucket = 0; bucket < kMaxPoints; ++bucket) {
    const size_t begin = bucket * points.size() / kMaxPoints, end = (bucket + 1) * points.size() / kMaxPoints;
    double x = 0, y = 0;
    for (size_t i = begin; i < end; ++i) {
      x += points[i].first;
      y += points[i].second;
    }
    const auto count = static_cast<double>(end - begin);
    out.emplace_back(x / count, y / count);
  }
  return out;
}

void append_grid(std::string& out, const Axis& x, const Axis& y) {
  for (const double tick : y.ticks()) {
    const std::string at = format_fixed(y.place(tick), 1);
    out += str("<line class=\"grid\" x1=\"", kLeft, "\" x2=\"", kWidth - kRight, "\" y1=\"", at, "\" y2=\"",
               at, "\"/><text text-anchor=\"end\" x=\"", kLeft - 6, "\" y=\"", at, "\" dy=\"4\">",
               shown(tick), "</text>");
  }
  for (const double tick : x.ticks()) {
    out += str("<text text-anchor=\"middle\" x=\"", format_fixed(x.place(tick), 1), "\" y=\"", kHeight - 12,
               "\">", shown(tick), "</text>");
  }
}

void append_curve(std::string& out, const Series& series, const char* colour, const Axis& x, const Axis& y) {
  out += str("<polyline fill=\"none\" stroke=\"", colour, "\" stroke-width=\"1.5\" points=\"");
  for (const auto& [step, value] : thinned(series.points)) {
    out += str(format_fixed(x.place(step), 1), ",", format_fixed(y.place(value), 1), " ");
  }
  out += "\"/>";
  if (series.points.size() < 40) {  // few points, as of validation: mark them
    for (const auto& [step, value] : series.points) {
      out += str("<circle r=\"2.5\" fill=\"", colour, "\" cx=\"", format_fixed(x.place(step), 1), "\" cy=\"",
                 format_fixed(y.place(value), 1), "\"/>");
    }
  }
}

bool is_bookkeeping(const std::string& key) { return key == "step" || key == "tokens" || key == "memory"; }

/// The chart that a key belongs to.
std::string chart_title(const std::string& key) {
  if (key == "mfu") return "share of the peak (MFU)";
  if (key == "z_loss") return "z-loss";  // a thousandth of the loss: on its axis it would be a line at 0
  if (key == "loss" || key.ends_with("_loss")) return "loss";
  if (key == "lr") return "learning rate";
  if (key.starts_with("grad_norm")) return "gradient norm";
  if (key == "tokens_per_s") return "tokens per second";
  return key.substr(0, key.find('/'));
}

}  // namespace

std::string render_chart(const Chart& chart) {
  Axis x, y;
  for (const auto& series : chart.series) {
    for (const auto& [step, value] : series.points) {
      x.include(step);
      y.include(value);
    }
  }
  if (!(x.low <= x.high)) return "";
  x.widen();
  y.widen();
  x.from = kLeft, x.to = kWidth - kRight, y.from = kHeight - kBottom, y.to = kTop;
  std::string out = str("<svg viewBox=\"0 0 ", kWidth, " ", kHeight, "\" role=\"img\" aria-label=\"",
                        escaped(chart.title), "\">");
  append_grid(out, x, y);
  size_t index = 0;
  for (const auto& series : chart.series)
    append_curve(out, series, kColours[index++ % std::size(kColours)], x, y);
  out += "</svg>\n<p>";
  index = 0;
  for (const auto& series : chart.series) {
    out += str("<span class=\"key\"><i style=\"background:", kColours[index++ % std::size(kColours)],
               "\"></i>", escaped(series.name),
               series.points.empty() ? "" : str(" ", shown(series.points.back().second)), "</span>");
  }
  return out + "</p>\n";
}

std::string render_report(const std::string& title,
                          const std::vector<std::pair<std::string, std::string>>& facts,
                          const std::vector<Chart>& charts) {
  std::string out =
      str("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>", escaped(title),
          "</title>\n<style>", kStyle, "</style></head><body>\n<h1>", escaped(title), "</h1>\n");
  for (const auto& chart : charts) {
    const std::string drawing = render_chart(chart);
    if (!drawing.empty()) out += str("<h2>", escaped(chart.title), "</h2>\n", drawing);
  }
  out += "<h2>run</h2>\n<table>\n";
  for (const auto& [name, value] : facts) {
    out += str("<tr><td>", escaped(name), "</td><td>", escaped(value), "</td></tr>\n");
  }
  return out + "</table>\n</body></html>\n";
}

std::vector<Chart> metric_charts(const std::vector<Json>& lines) {
  std::vector<Chart> charts = {{"loss", {}}, {"learning rate", {}}, {"gradient norm", {}}};
  std::map<std::string, std::pair<size_t, size_t>> places;  // key → chart, series
  for (const auto& line : lines) {
    const Json* step = line.find("step");
    if (step == nullptr || !step->is_number()) continue;
    for (const auto& [key, value] : line.as_object()) {
      if (is_bookkeeping(key) || !value.is_number()) continue;
      auto found = places.find(key);
      if (found == places.end()) {
        const std::string title = chart_title(key);
        auto chart =
            std::find_if(charts.begin(), charts.end(), [&](const Chart& one) { return one.title == title; });
        if (chart == charts.end()) chart = charts.insert(charts.end(), {title, {}});
        chart->series.push_back({key, {}});
        const auto at = static_cast<size_t>(chart - charts.begin());
        found = places.emplace(key, std::pair(at, chart->series.size() - 1)).first;
      }
      charts[found->second.first].series[found->second.second].points.emplace_back(step->as_double(),
                                                                                   value.as_double());
    }
  }
  return charts;
}

void write_report(const std::string& run_dir, const Json& record) {
  const auto lines = read_metrics(run_dir);
  std::vector<std::pair<std::string, std::string>> facts;
  if (!lines.empty()) {
    for (const char* key : {"step", "tokens", "loss", "memory"}) {
      if (const Json* value = lines.back().find(key)) facts.emplace_back(str("last ", key), value->dump());
    }
  }
  const auto add = [&](const std::string& key, const Json& value) {
    facts.emplace_back(key, value.is_string() ? value.as_string() : value.dump());
  };
  for (const auto& [key, value] : record.as_object()) {
    if (!value.is_object()) add(key, value);
    if (value.is_object())
      for (const auto& [name, fact] : value.as_object()) add(name, fact);
  }
  const std::filesystem::path root(run_dir);
  write_file((root / "report.html").string(),
             render_report("Run " + root.filename().string(), facts, metric_charts(lines)));
}

}  // namespace gristmill::train
