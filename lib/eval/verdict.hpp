#pragma once

// Verdicts: what a judge said of two answers to one prompt. One record:
//
//   {"id","model_a","model_b","preference": P(a is better) in [0, 1], "winner"?, "length_a"?, "length_b"?, …}
//
// Read as well: votes with a winner alone ("model_a", "model_b", "tie", "tie (bothbad)"; or "left"/"right" of
// {"left","right","winner"}), and AlpacaEval annotations ({"generator_1","generator_2","output_1","output_2",
// "preference" in [1, 2]}, or their numbers {"inst","len_1","len_2","pref"}), whose second side is the model.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "base/stats.hpp"
#include "shard/reader.hpp"

namespace gristmill::eval {

struct Verdict {
  std::string id;  ///< of the prompt; empty = unknown
  std::string model_a, model_b;
  double preference = 0.5;               ///< P(a is better); 0.5 is a tie
  int64_t length_a = -1, length_b = -1;  ///< of the answers in code points; -1 = unknown
  Json extra = Json::object();           ///< other keys, behind ours in to_line()

  /// Nothing when the judge gave no verdict (a null preference). Error{input} for what is no verdict, `where`
  /// in front.
  static std::optional<Verdict> parse(std::string_view line, std::string_view where);
  Json to_json() const;
  std::string to_line() const { return to_json().dump(); }
};

/// "model_a", "model_b" or "tie" for a preference.
std::string_view winner_name(double preference);

/// All verdicts of the inputs. Unjudged records are dropped under "unjudged", counted in `stats`.
std::vector<Verdict> read_verdicts(shard::Reader& reader, Stats& stats);

}  // namespace gristmill::eval
