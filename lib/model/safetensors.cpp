// The reader trusts nothing: the header's length against the file's, each shape against its byte range, and
// the ranges against each other, which must cover the data without gap or overlap (as the format's own
// implementation demands).

#include "model/safetensors.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <iterator>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "runtime/bfloat16.hpp"

namespace gristmill::model {

static_assert(std::endian::native == std::endian::little,
              "the format is little-endian, and so is this reader");

uint64_t element_size(const std::string& dtype, const std::string& where) {
  static const std::pair<const char*, uint64_t> kSizes[] = {
      {"F32", 4}, {"BF16", 2}, {"F16", 2}, {"F64", 8}, {"I64", 8},  {"I32", 4},     {"U64", 8},    {"U32", 4},
      {"I16", 2}, {"U16", 2},  {"I8", 1},  {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};
  for (const auto& [name, size] : kSizes) {
    if (dtype == name) return size;
  }
  fail(Kind::input, where, ": unknown dtype ", in_quotes(dtype));
}

namespace {

constexpr uint64_t kMaxHeader = 100'000'000;  // the limit of the format's own implementation

uint64_t as_unsigned(const Json& json, const std::string& where) {
  const int64_t value = json.is_integer() ? json.as_int() : -1;
  if (value < 0) fail(Kind::input, where, ": a shape or an offset is no whole number from 0 on");
  return static_cast<uint64_t>(value);
}

TensorInfo parse_tensor(const Json& json, const std::string& where, uint64_t data_size) {
  TensorInfo info;
  info.dtype = json.at("dtype").as_string();
  uint64_t bytes = element_size(info.dtype, where);
  for (const auto& extent : json.at("shape").as_array()) {
    const uint64_t value = as_unsigned(extent, where);
    info.shape.push_back(static_cast<int64_t>(value));
    if (__builtin_mul_overflow(bytes, value, &bytes)) fail(Kind::input, where, ": the shape overflows");
  }
  const auto& offsets = json.at("data_offsets").as_array();
  if (offsets.size() != 2) fail(Kind::input, where, ": data_offsets is not a pair");
  info.begin = as_unsigned(offsets[0], where);
  info.end = as_unsigned(offsets[1], where);
  if (info.begin > info.end || info.end > data_size) {
    fail(Kind::input, where, ": data_offsets lie outside the file's ", data_size,
         " bytes of data (is it cut short?)");
  }
  if (info.end - info.begin != bytes) {
    fail(Kind::input, where, ": ", info.end - info.begin, " bytes of data for a shape of ", bytes, " bytes");
  }
  return info;
}

void check_cover(const std::map<std::string, TensorInfo>& tensors, uint64_t data_size,
                 const std::string& where) {
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (const auto& [name, info] : tensors) ranges.emplace_back(info.begin, info.end);
  std::sort(ranges.begin(), ranges.end());
  uint64_t at = 0;
  for (const auto& [begin, end] : ranges) {
    if (begin != at)
      fail(Kind::input, where, ": the tensors' data overlap or leave a gap at byte ", std::min(at, begin));
    at = end;
  }
  if (at != data_size) fail(Kind::input, where, ": ", data_size - at, " bytes behind the last tensor's data");
}

float from_half(uint16_t bits) {
  const uint32_t sign = (bits & 0x8000U) << 16, exponent = (bits >> 10) & 31U, fraction = bits & 1023U;
  if (exponent == 0) {  // zero and subnormal numbers: fraction · 2^-24
    const float magnitude = std::ldexp(static_cast<float>(fraction), -24);
    return sign != 0 ? -magnitude : magnitude;
  }
  const uint32_t wide = exponent == 31 ? 255U : exponent + 112U;
  return std::bit_cast<float>(sign | (wide << 23) | (fraction << 13));
}

template <class Stored>
Stored stored_at(const std::string& bytes, size_t index) {
  Stored value;
  std::memcpy(&value, bytes.data() + index * sizeof(Stored), sizeof(Stored));
  return value;
}

template <class To, class Stored, class Convert>
std::vector<To> convert(const std::string& bytes, Convert&& to_value) {
  std::vector<To> values(bytes.size() / sizeof(Stored));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<To>(to_value(stored_at<Stored>(bytes, i)));
  return values;
}

template <class To>
std::vector<To> to_real(const std::string& dtype, const std::string& bytes, const std::string& where) {
  const auto same = [](auto value) { return value; };
  if (dtype == "F32") return convert<To, float>(bytes, same);
  if (dtype == "F64") return convert<To, double>(bytes, same);
  if (dtype == "F16") return convert<To, uint16_t>(bytes, from_half);
  if (dtype == "BF16") return convert<To, runtime::Bfloat16>(bytes, runtime::widened);
  fail(Kind::input, where, ": dtype ", dtype, " where real numbers are needed (F32, F16, BF16 or F64)");
}

}  // namespace

struct SafetensorsReader::State {
  InputFile file;
  uint64_t data_start = 0;
  std::map<std::string, TensorInfo> tensors;
  std::map<std::string, std::string> metadata;

  explicit State(const std::string& path) : file(path) {}

  std::string read_range(uint64_t begin, uint64_t size) const {
    std::string bytes(size, '\0');
    uint64_t done = 0;
    while (done < size) {
      const ssize_t got =
          ::pread(file.descriptor(), bytes.data() + done, size - done, static_cast<off_t>(begin + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) fail_errno("cannot read", file.name());
      if (got == 0) fail(Kind::input, file.name(), ": the file was cut while it was read");
      done += static_cast<uint64_t>(got);
    }
    return bytes;
  }

  const TensorInfo& find(const std::string& name) const {
    const auto found = tensors.find(name);
    if (found == tensors.end()) fail(Kind::input, file.name(), ": there is no tensor ", in_quotes(name));
    return found->second;
  }
  std::string bytes_of(const TensorInfo& info) const {
    return read_range(data_start + info.begin, info.end - info.begin);
  }
  std::string where(const std::string& name) const { return str(file.name(), ", tensor ", in_quotes(name)); }
};

SafetensorsReader::SafetensorsReader(const std::string& path) : state_(std::make_unique<State>(path)) {
  auto& s = *state_;
  struct stat status {};
  if (::fstat(s.file.descriptor(), &status) != 0) fail_errno("cannot read", path);
  if (!S_ISREG(status.st_mode)) fail(Kind::input, path, ": a safetensors file must be a regular file");
  const auto size = static_cast<uint64_t>(status.st_size);
  if (size < 8) fail(Kind::input, path, ": too short for a safetensors file");
  const auto header_size = stored_at<uint64_t>(s.read_range(0, 8), 0);
  if (header_size > kMaxHeader || header_size > size - 8) {
    fail(Kind::input, path, ": a header of ", header_size,
         " bytes; this is no safetensors file, or it is cut short");
  }
  s.data_start = 8 + header_size;
  const Json header = Json::parse(s.read_range(8, header_size), path, 8);
  if (!header.is_object()) fail(Kind::input, path, ": the header is not a JSON object");
  for (const auto& [name, value] : header.as_object()) {
    const std::string where = s.where(name);
    try {
      if (name == "__metadata__") {
        for (const auto& [key, text] : value.as_object()) s.metadata[key] = text.as_string();
      } else {
        s.tensors[name] = parse_tensor(value, where, size - s.data_start);
      }
    } catch (const Error& error) {
      const std::string message = error.what();
      if (message.starts_with(where)) throw;
      fail(Kind::input, where, ": ", message);
    }
  }
  check_cover(s.tensors, size - s.data_start, path);
}

SafetensorsReader::~SafetensorsReader() = default;

const std::map<std::string, TensorInfo>& SafetensorsReader::tensors() const { return state_->tensors; }
const std::map<std::string, std::string>& SafetensorsReader::metadata() const { return state_->metadata; }

std::vector<float> SafetensorsReader::read_float(const std::string& name) const {
  const auto& info = state_->find(name);
  return to_real<float>(info.dtype, state_->bytes_of(info), state_->where(name));
}

std::vector<double> SafetensorsReader::read_double(const std::string& name) const {
  const auto& info = state_->find(name);
  return to_real<double>(info.dtype, state_->bytes_of(info), state_->where(name));
}

std::vector<int64_t> SafetensorsReader::read_int(const std::string& name) const {
  const auto& info = state_->find(name);
  const auto same = [](auto value) { return value; };
  if (info.dtype == "I64" || info.dtype == "U64")
    return convert<int64_t, int64_t>(state_->bytes_of(info), same);
  if (info.dtype == "I32") return convert<int64_t, int32_t>(state_->bytes_of(info), same);
  fail(Kind::input, state_->where(name), ": dtype ", info.dtype,
       " where whole numbers are needed (I64, U64 or I32)");
}

}  // namespace gristmill::model
