#include "tracer/unwind/python_layout.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tracer/unwind/python_version.h"

namespace stucktrace::unwind {
namespace {

// What a 3.13 publishes, with the numbers that 3.13.0 has.
struct Published {
  Published() { std::memcpy(bytes.data(), "xdebugpy", 8); }
  void word(std::size_t index, std::uint64_t value) {
    std::memcpy(bytes.data() + 8 + index * 8, &value, sizeof value);
  }
  std::array<std::byte, kPythonDebugOffsetsSize> bytes{};
};

constexpr std::uint64_t kWords3130[] = {
    0x030d00f0, 0,  283320, 608,  632, 194968, 7272, 7264, 7344, 7400, 7656, 7640, 7648, 16,
    7752,       0,  7768,   7760, 304, 0,      8,    16,   72,   152,  160,  232,  32,   80,
    8,          0,  56,     72,   70,  208,    112,  120,  128,  136,  68,   52,   96,   104,
    200,        16, 8,      416,  24,  88,     168,  32,   24,   16,   40,   24,   16,   48,
    32,         40, 24,     16,   32,  16,     24,   40,   16,   32,   64,   32,   16,   40};

Published published_3130() {
  Published published;
  std::size_t index = 0;
  for (const std::uint64_t value : kWords3130) published.word(index++, value);
  return published;
}

TEST(PythonLayout, KnownVersions) {
  EXPECT_NE(find_python_layout(2, 7), nullptr);
  for (int minor = 6; minor <= 13; ++minor) {
    const PythonLayout* layout = find_python_layout(3, minor);
    ASSERT_NE(layout, nullptr) << minor;
    EXPECT_EQ(layout->minor, minor);
    EXPECT_EQ(layout->has_interpreter_frames(), minor >= 11);
    EXPECT_EQ(layout->thread_native_id >= 0, minor >= 11);
  }
  EXPECT_EQ(find_python_layout(3, 14), nullptr);
  EXPECT_EQ(find_python_layout(3, 5), nullptr);
  EXPECT_EQ(find_python_layout(2, 6), nullptr);
}

TEST(PythonLayout, PublishedOffsetsAgreeWithTheTable) {
  const auto parsed = parse_python_debug_offsets(published_3130().bytes);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->hex_version, 0x030d00f0u);
  EXPECT_FALSE(parsed->free_threaded);
  EXPECT_EQ(parsed->layout, *find_python_layout(3, 13));
}

TEST(PythonLayout, PublishedOffsetsWinOverTheTable) {
  Published published = published_3130();
  published.word(35, 144);  // co_name
  const auto parsed = parse_python_debug_offsets(published.bytes);
  ASSERT_TRUE(parsed && parsed->layout);
  EXPECT_EQ(parsed->layout->code_name, 144);
}

TEST(PythonLayout, ImplausibleUnknownOrMissingPublication) {
  Published huge = published_3130();
  huge.word(22, std::uint64_t{1} << 60);
  EXPECT_FALSE(parse_python_debug_offsets(huge.bytes)->layout);
  Published gil = published_3130();
  gil.word(16, 5);  // before the GIL it is part of
  EXPECT_FALSE(parse_python_debug_offsets(gil.bytes)->layout);
  Published later = published_3130();
  later.word(0, 0x030e00f0);
  const auto parsed = parse_python_debug_offsets(later.bytes);
  ASSERT_TRUE(parsed);
  EXPECT_FALSE(parsed->layout) << "another minor version publishes in another form";
  Published free_threaded = published_3130();
  free_threaded.word(1, 1);
  EXPECT_TRUE(parse_python_debug_offsets(free_threaded.bytes)->free_threaded);
  Published none = published_3130();
  none.bytes[0] = std::byte{'y'};
  EXPECT_FALSE(parse_python_debug_offsets(none.bytes));
  EXPECT_FALSE(parse_python_debug_offsets(std::span{none.bytes}.first(100)));
}

// The table against the headers and live objects of every interpreter of this machine.
TEST(PythonLayout, TableFitsTheInterpretersFoundHere) {
  if (std::system("command -v python3 cc >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "needs python3 and a C compiler";
  }
  const std::string command =
      "python3 " STUCKTRACE_SOURCE_DIR "/scripts/gen_python_offsets.py --check";
  EXPECT_EQ(std::system(command.c_str()), 0);
}

TEST(PythonVersion, FromHex) {
  EXPECT_EQ(python_version_from_hex(0x030b07f0), (PythonVersion{3, 11, "3.11.7"}));
  EXPECT_EQ(python_version_from_hex(0x030d00c2), (PythonVersion{3, 13, "3.13.0rc2"}));
  EXPECT_EQ(python_version_from_hex(0x030e00a1), (PythonVersion{3, 14, "3.14.0a1"}));
  EXPECT_EQ(python_version_from_hex(0), std::nullopt);
  EXPECT_EQ(python_version_from_hex(0xffffffff), std::nullopt);
}

TEST(PythonVersion, FromMemory) {
  const auto find = [](std::string_view text) {
    return find_python_version_text(std::as_bytes(std::span{text}));
  };
  using namespace std::string_view_literals;
  EXPECT_EQ(find("junk (x)\0\0003.9.18 (main, Jan  1 2024, 00:00:00) \n[GCC 12.2.0]\0"sv),
            (PythonVersion{3, 9, "3.9.18"}));
  EXPECT_EQ(find("\0002.7.18+ (default, Apr 20 2020) \n[GCC]\0"sv),
            (PythonVersion{2, 7, "2.7.18+"}));
  EXPECT_EQ(find("\0003.10.0rc1 (heads/x:1, Apr 20 2020) \n[Clang]\0"sv),
            (PythonVersion{3, 10, "3.10.0rc1"}));
  EXPECT_EQ(find("v3.9.18 (main, x) y\0"sv), std::nullopt);
  EXPECT_EQ(find("\0003.9 (main, x) y\0"sv), std::nullopt);
  EXPECT_EQ(find("\0003.9.18 (main"sv), std::nullopt);
  EXPECT_EQ(find("1.2.13 (zlib) x"sv), std::nullopt);
}

TEST(PythonVersion, FromPath) {
  EXPECT_EQ(python_version_from_path("/usr/lib/libpython3.9.so.1.0"), (PythonVersion{3, 9, "3.9"}));
  EXPECT_EQ(python_version_from_path("/usr/bin/python2.7"), (PythonVersion{2, 7, "2.7"}));
  EXPECT_EQ(python_version_from_path("/opt/python3.9/bin/python3"), std::nullopt);
  EXPECT_EQ(python_version_from_path("/usr/bin/bash"), std::nullopt);
}

}  // namespace
}  // namespace stucktrace::unwind
