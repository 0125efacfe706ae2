#include "eval/csv.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"

namespace gristmill::eval {

namespace {

constexpr uint64_t kMaxBytes = uint64_t{1} << 30;

/// Walks over a CSV text record by record.
class CsvParser {
 public:
  CsvParser(std::string text, std::string name) : text_(std::move(text)), name_(std::move(name)) {}

  bool next(std::vector<std::string>& fields) {
    fields.clear();
    if (at_ >= text_.size()) return false;
    ++record_;
    for (;;) {
      fields.push_back(field());
      if (at_ >= text_.size()) return true;
      const char separator = text_[at_++];
      if (separator == ',') continue;
      if (separator == '\r' && at_ < text_.size() && text_[at_] == '\n') ++at_;
      return true;
    }
  }

  std::string where() const { return str(name_, ", record ", record_); }

 private:
  std::string field() {
    std::string value;
    if (at_ < text_.size() && text_[at_] == '"') {
      quoted_part(value);
    }
    while (at_ < text_.size() && text_[at_] != ',' && text_[at_] != '\n' && text_[at_] != '\r')
      value += text_[at_++];
    return value;
  }

  void quoted_part(std::string& value) {
    for (++at_;; ++at_) {
      if (at_ >= text_.size()) fail(Kind::input, where(), ": a quote is never closed");
      if (text_[at_] != '"') {
        value += text_[at_];
      } else if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
        value += text_[++at_];
      } else {
        ++at_;
        return;
      }
    }
  }

  std::string text_, name_;
  size_t at_ = 0;
  uint64_t record_ = 0;
};

}  // namespace

std::vector<CsvRow> read_csv(const std::string& path) {
  CsvParser parser(read_file(path, kMaxBytes), path);
  std::vector<std::string> header, fields;
  if (!parser.next(header)) fail(Kind::input, path, ": an empty file has no header line");
  std::vector<CsvRow> rows;
  while (parser.next(fields)) {
    if (fields.size() == 1 && fields[0].empty()) continue;  // an empty line
    if (fields.size() != header.size()) {
      fail(Kind::input, parser.where(), ": ", fields.size(), " fields, the header has ", header.size());
    }
    CsvRow row;
    for (size_t i = 0; i < header.size(); ++i) row[header[i]] = fields[i];
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace gristmill::eval
