#include "tracer/unwind/python_lines.h"

#include <gtest/gtest.h>

#include <random>
#include <string_view>
#include <vector>

namespace stucktrace::unwind {
namespace {

std::vector<std::byte> from_hex(std::string_view text) {
  std::vector<std::byte> bytes;
  for (std::size_t index = 0; index + 1 < text.size(); index += 2) {
    const auto digit = [&](char value) { return value <= '9' ? value - '0' : value - 'a' + 10; };
    bytes.push_back(static_cast<std::byte>(digit(text[index]) * 16 + digit(text[index + 1])));
  }
  return bytes;
}

struct Range {
  int start, end;
  std::optional<int> line;
};

// One function compiled by each version: a call over 200 blank lines, a loop, try/finally. The
// expected lines are what the version itself says (dis.findlinestarts, code.co_lines).
void expect_lines(LineTableKind kind, std::string_view table, const std::vector<Range>& expected) {
  const auto bytes = from_hex(table);
  for (const Range& range : expected) {
    for (int offset = range.start; offset < range.end; ++offset) {
      EXPECT_EQ(line_at(kind, bytes, 4, offset), range.line) << "offset " << offset;
    }
  }
  EXPECT_EQ(line_at(kind, bytes, 4, -1), 4) << "nothing run yet";
}

TEST(PythonLines, UnsignedDeltasOf27) {
  expect_lines(LineTableKind::kUnsignedDeltas, "000103c907011301030106010b020801",
               {{0, 3, 5},
                {3, 10, 206},
                {10, 29, 207},
                {29, 32, 208},
                {32, 38, 209},
                {38, 49, 210},
                {49, 57, 212},
                {57, 61, 213}});
}

TEST(PythonLines, SignedDeltasOf39) {
  expect_lines(LineTableKind::kSignedDeltas, "0001027f004a028000b7047f004b08010201040102ff06030a01",
               {{0, 2, 5},
                {2, 4, 206},
                {4, 8, 5},
                {8, 16, 207},
                {16, 18, 208},
                {18, 22, 209},
                {22, 24, 210},
                {24, 30, 209},
                {30, 40, 212},
                {40, 44, 213}});
}

TEST(PythonLines, RangesOf310) {
  expect_lines(LineTableKind::kRanges, "0201007f024a008104b6007f084b02010401020106ff08030401",
               {{0, 2, 5},
                {2, 4, 206},
                {4, 8, 5},
                {8, 16, 207},
                {16, 18, 208},
                {18, 22, 209},
                {22, 24, 210},
                {24, 30, 209},
                {30, 38, 212},
                {38, 42, 213}});
}

TEST(PythonLines, RangesWithoutLine) {
  expect_lines(LineTableKind::kRanges, "0201048002fe", {{0, 2, 5}, {2, 6, {}}, {6, 8, 3}});
}

TEST(PythonLines, LocationsOf311) {
  expect_lines(LineTableKind::kLocations,
               "8000d8090af05206000a0bf1530649030a0b8041f05406000e13f000050512f0000505128801f00204"
               "0912dd0c0d8861d80e0ff103010d11f400010d11f000010d11f0060011129001f89001884588458845"
               "8d80b0c8048",
               {{0, 2, 4},
                {2, 4, 5},
                {4, 6, 206},
                {6, 12, 5},
                {12, 20, 207},
                {20, 22, 208},
                {22, 36, 209},
                {36, 38, 210},
                {38, 54, 209},
                {54, 58, 212},
                {58, 60, {}}});
}

TEST(PythonLines, LocationsOf313) {
  expect_lines(LineTableKind::kLocations,
               "8000d8090af05206000a0bf1530649030a0b8041f35406000e138801f002040912dc0c0d8861d80e0f"
               "f403010d11f206001112f10b000e13f00c000c0d8048f8f103001112fa",
               {{0, 2, 4},
                {2, 4, 5},
                {4, 6, 206},
                {6, 12, 5},
                {12, 22, 207},
                {22, 24, 208},
                {24, 36, 209},
                {36, 38, 210},
                {38, 48, 209},
                {48, 54, 212},
                {54, 58, 207},
                {58, 62, 213},
                {62, 64, {}},
                {64, 68, 212},
                {68, 74, {}}});
}

TEST(PythonLines, OffsetBehindTheTableHasNoLine) {
  EXPECT_EQ(line_at(LineTableKind::kLocations, from_hex("8000d8090a"), 4, 4), std::nullopt);
  EXPECT_EQ(line_at(LineTableKind::kRanges, from_hex("0201"), 4, 2), std::nullopt);
}

TEST(PythonLines, ArbitraryBytesGiveNoneOrAPlausibleLine) {
  std::mt19937 random{20240301};
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::byte> table(random() % 64);
    for (auto& byte : table) byte = static_cast<std::byte>(random());
    const auto kind = static_cast<LineTableKind>(random() % 4);
    const auto line = line_at(kind, table, static_cast<int>(random()),
                              static_cast<std::int64_t>(random() % 256) - 2);
    if (line) {
      EXPECT_GE(*line, 0);
      EXPECT_LT(*line, 100'000'000);
    }
  }
}

TEST(PythonLines, KindFollowsTheVersion) {
  EXPECT_EQ(line_table_kind(2, 7), LineTableKind::kUnsignedDeltas);
  EXPECT_EQ(line_table_kind(3, 6), LineTableKind::kSignedDeltas);
  EXPECT_EQ(line_table_kind(3, 9), LineTableKind::kSignedDeltas);
  EXPECT_EQ(line_table_kind(3, 10), LineTableKind::kRanges);
  EXPECT_EQ(line_table_kind(3, 13), LineTableKind::kLocations);
}

}  // namespace
}  // namespace stucktrace::unwind
