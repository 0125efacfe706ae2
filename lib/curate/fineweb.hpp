#pragma once

// FineWeb's own rules (Penedo et al. 2024, §3.6). The duplicate-character limit is 0.01, which is what their
// code and data have; the paper's text says 0.1.

#include <cstdint>

#include "curate/page.hpp"
#include "curate/sheet.hpp"

namespace gristmill::curate {

struct FinewebOptions {
  double line_punct_thr = 0.12;         ///< least share of lines that end in a terminal mark
  double short_line_thr = 0.67;         ///< most short lines
  int64_t short_line_length = 30;       ///< code points up to which a line is short
  double char_duplicates_ratio = 0.01;  ///< most characters in lines seen before
  double new_line_ratio = 0.3;          ///< most newlines a token
};

/// Reasons empty, line_punct_ratio, short_line_ratio, char_dup_ratio, list_ratio.
void fineweb_quality(Page& page, const FinewebOptions& options, Sheet& sheet, Scratch& scratch);

}  // namespace gristmill::curate
