#include "model/safetensors.hpp"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/rng.hpp"
#include "support/catch.hpp"
#include "support/scratch.hpp"

using namespace gristmill;
using model::SafetensorsReader;
using model::SafetensorsWriter;

namespace {

std::string file_of(const std::string& header, const std::string& data) {
  const uint64_t size = header.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &size, 8);
  return out + header + data;
}

void check_refused(const std::string& content, const std::string& message) {
  const test::ScratchFolder folder;
  const std::string path = folder.file("a.safetensors");
  write_file(path, content);
  INFO(in_quotes(content));
  CHECK_THROWS_WITH(SafetensorsReader(path), test::contains(message));
}

}  // namespace

TEST_CASE("tensors come back as they were written", "[model]") {
  const test::ScratchFolder folder;
  const std::string path = folder.file("a.safetensors");
  const std::vector<float> real = {1.5F, -2, 1e-40F, 3e38F, 0, 7};
  const std::vector<double> wide = {0.1, -1e300};
  const std::vector<int64_t> whole = {-1, int64_t{1} << 40};
  SafetensorsWriter writer;
  writer.add("z \"quoted\"", {2, 3}, real);
  writer.add("b", {2}, wide);
  writer.add("c", {1, 2}, whole);
  writer.add("empty", {0, 4}, std::span<const float>());
  writer.set_metadata("format", "pt");
  writer.write(path);
  const SafetensorsReader reader(path);
  CHECK(reader.metadata().at("format") == "pt");
  CHECK(reader.tensors().size() == 4);
  CHECK(reader.tensors().at("z \"quoted\"").shape == std::vector<int64_t>{2, 3});
  CHECK(reader.read_float("z \"quoted\"") == real);
  CHECK(reader.read_double("b") == wide);
  CHECK(reader.read_int("c") == whole);
  CHECK(reader.read_float("empty").empty());
  CHECK_THROWS_WITH(reader.read_float("c"), test::contains("where real numbers are needed"));
  CHECK_THROWS_WITH(reader.read_int("b"), test::contains("where whole numbers are needed"));
  CHECK_THROWS_WITH(reader.read_float("no"), test::contains("there is no tensor"));
}

TEST_CASE("half and brain floats are widened exactly", "[model]") {
  const test::ScratchFolder folder;
  const std::string path = folder.file("a.safetensors");
  // 1, -2, the smallest subnormal, the largest finite number, infinity, -0.
  const std::vector<uint16_t> half = {0x3C00, 0xC000, 0x0001, 0x7BFF, 0x7C00, 0x8000};
  const std::vector<uint16_t> brain = {0x3F80, 0xC000, 0x0001, 0x7F7F, 0x7F80, 0x8000};
  std::string data(reinterpret_cast<const char*>(half.data()), 12);
  data.append(reinterpret_cast<const char*>(brain.data()), 12);
  write_file(path, file_of(R"({"h":{"dtype":"F16","shape":[6],"data_offsets":[0,12]},)"
                           R"("b":{"dtype":"BF16","shape":[6],"data_offsets":[12,24]}})",
                           data));
  const SafetensorsReader reader(path);
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(reader.read_float("h") == std::vector<float>{1, -2, 0x1p-24F, 65504, infinity, -0.0F});
  CHECK(reader.read_float("b") == std::vector<float>{1, -2, 0x1p-133F, 0x1.fep127F, infinity, -0.0F});
}

TEST_CASE("a damaged safetensors file is refused before anything is allocated", "[model]") {
  const auto tensor = [](const std::string& rest) {
    return file_of("{\"a\":{" + rest + "}}", std::string(8, 'x'));
  };
  check_refused("short", "too short");
  check_refused(std::string(8, '\xFF'), "no safetensors file");
  check_refused(file_of("{", "").substr(0, 8), "no safetensors file");
  check_refused(file_of("[]", ""), "not a JSON object");
  check_refused(file_of("{nonsense", ""), "a.safetensors");
  check_refused(file_of(std::string(1000, '['), ""), "a.safetensors");
  check_refused(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,16])"), "outside the file's 8 bytes");
  check_refused(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), "outside the file's");
  check_refused(tensor(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"),
                "8 bytes of data for a shape of 12");
  check_refused(tensor(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), "no whole number");
  check_refused(tensor(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8])"), "overflows");
  check_refused(tensor(R"("dtype":"F32","shape":[1.5],"data_offsets":[0,8])"), "no whole number");
  check_refused(tensor(R"("dtype":"Q4","shape":[2],"data_offsets":[0,8])"), "unknown dtype");
  check_refused(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0])"), "not a pair");
  check_refused(tensor(R"("dtype":"F32","shape":[2])"), "data_offsets");
  check_refused(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"), "behind the last tensor");
  check_refused(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), "leave a gap");
  check_refused(file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                        R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                        std::string(8, 'x')),
                "overlap");
}

TEST_CASE("a file with any byte of its header changed is read or refused, never more", "[model]") {
  const test::ScratchFolder folder;
  const std::string good_path = folder.file("good.safetensors"), path = folder.file("bad.safetensors");
  SafetensorsWriter writer;
  writer.add("first", {2, 2}, std::vector<float>{1, 2, 3, 4});
  writer.add("second", {3}, std::vector<double>{1, 2, 3});
  writer.set_metadata("format", "pt");
  writer.write(good_path);
  const std::string good = read_file(good_path);
  Rng rng(1, stream_of(RandomStream::test));
  int refused = 0;
  for (int round = 0; round < 1500; ++round) {
    std::string bad = good;
    for (uint64_t change = 0; change <= rng.below(3); ++change) {
      bad[rng.below(bad.size() - 40)] = static_cast<char>(rng.below(256));
    }
    if (rng.below(10) == 0) bad.resize(rng.below(bad.size()));
    std::FILE* file = std::fopen(path.c_str(), "wb");
    REQUIRE(file != nullptr);
    std::fwrite(bad.data(), 1, bad.size(), file);
    std::fclose(file);
    try {
      const SafetensorsReader reader(path);
      for (const auto& [name, info] : reader.tensors()) {
        if (info.dtype[0] == 'F' && info.dtype != "F8_E4M3" && info.dtype != "F8_E5M2")
          reader.read_double(name);
      }
    } catch (const Error&) {
      ++refused;
    }
  }
  CHECK(refused > 1000);
}

TEST_CASE("values given as functions are asked for once, one after another in the order of names",
          "[model]") {
  const test::ScratchFolder folder;
  SafetensorsWriter writer, other;
  std::string asked;
  for (const std::string name : {"c", "a", "b"}) {
    const auto values = [&asked, name] {
      asked += name;
      return std::vector<float>{static_cast<float>(name[0]), 2};
    };
    writer.add(name, {2}, SafetensorsWriter::Values<float>(values));
    other.add(name, {2}, values());
  }
  asked.clear();
  writer.write(folder.file("x.safetensors"));
  CHECK(asked == "abc");
  other.write(folder.file("y.safetensors"));
  CHECK(read_file(folder.file("x.safetensors")) == read_file(folder.file("y.safetensors")));
  writer.produce();
  CHECK(asked == "abcabc");
}

TEST_CASE("a device's memory is written piece by piece as it is when write() is called", "[model]") {
  const test::ScratchFolder folder;
  const auto device = runtime::guard_device(runtime::open_reference_device(runtime::DType::f32));
  const int64_t rows = 3, cols = SafetensorsWriter::kPiece - 1;  // three pieces, the last one short
  const runtime::Buffer buffer(*device, runtime::DType::f32, rows, cols);
  std::vector<float> values(static_cast<size_t>(rows * cols));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  SafetensorsWriter pieces, whole;
  for (const auto type : {model::StoredType::f32, model::StoredType::bf16}) {
    const std::string name = type == model::StoredType::f32 ? "single" : "brain";
    pieces.add(name, {rows, cols}, *device, buffer.view(), type);
    whole.add(name, {rows, cols}, values, type);
  }
  runtime::write_real(*device, buffer.view(), std::span<const float>(values));
  pieces.write(folder.file("x.safetensors"));
  whole.write(folder.file("y.safetensors"));
  CHECK(read_file(folder.file("x.safetensors")) == read_file(folder.file("y.safetensors")));
}

TEST_CASE("halves and bf16 are rounded to nearest, ties to even", "[model]") {
  const test::ScratchFolder folder;
  const auto through = [&](float value, model::StoredType type) {
    model::SafetensorsWriter writer;
    writer.add("x", {1}, std::vector<float>{value}, type);
    writer.write(folder.file("x.safetensors"));
    return model::SafetensorsReader(folder.file("x.safetensors")).read_float("x").front();
  };
  const auto half = model::StoredType::f16, brain = model::StoredType::bf16;
  for (const float exact : {0.0F, 1.0F, -2.5F, 65504.0F, 0x1p-24F, -0x1p-14F, 0x1.ff8p-15F}) {
    CHECK(through(exact, half) == exact);
  }
  CHECK(through(1 + 0x1p-11F, half) == 1);                 // a tie, to even below
  CHECK(through(1 + 0x1.8p-10F, half) == 1 + 0x1p-9F);     // and above
  CHECK(through(1 + 0x1.002p-11F, half) == 1 + 0x1p-10F);  // just beyond the middle
  CHECK(through(0x1.8p-24F, half) == 0x1p-23F);            // among subnormal numbers
  CHECK(through(0x1p-25F, half) == 0);                     // half the smallest
  CHECK(through(0x1.ffep-15F, half) == 0x1p-14F);          // up into the normal ones
  CHECK(through(65519.0F, half) == 65504);
  CHECK_THROWS_WITH(through(65520.0F, half), test::contains("tensor x holds 65520, which f16 cannot"));
  CHECK(through(1 + 0x1p-8F, brain) == 1);
  CHECK(through(1 + 0x1.8p-7F, brain) == 1 + 0x1p-6F);
  CHECK(through(3e38F, brain) == Approx(3e38F).epsilon(0.01));
  CHECK(std::isnan(through(std::numeric_limits<float>::quiet_NaN(), brain)));
  CHECK(std::isnan(through(std::numeric_limits<float>::quiet_NaN(), half)));
}
