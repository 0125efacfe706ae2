#pragma once

// GPT-2's pattern as a hand-written scanner:
//
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// Every byte of the input lands in exactly one piece. A malformed byte counts as a character of class
// "other". What "end of text" means to \s+(?!\S) is the end of the string given, so a document must be given
// whole, or cut at a safe place (safe_cut).

#include <cstddef>
#include <string_view>

namespace gristmill::tokenizer {

/// The end of the piece that starts at byte `begin` (< text.size(), a piece boundary). Linear over all pieces
/// of a text.
size_t next_piece(std::string_view text, size_t begin);

/// The last place in [0, limit] at which `text` can be cut so that both halves split into the pieces of the
/// whole: in front of a single space between two non-spaces. 0 if there is none.
size_t safe_cut(std::string_view text, size_t limit);

}  // namespace gristmill::tokenizer
