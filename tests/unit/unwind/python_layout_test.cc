#include "tracer/unwind/python_layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>

#include "tests/unit/unwind/python_fakes.h"
#include "tracer/unwind/python_version.h"

namespace stucktrace::unwind {
namespace {

// What a 3.13.0 publishes.
constexpr std::uint64_t kWords3130[] = {
    0x030d00f0, 0,  283320, 608,  632, 194968, 7272, 7264, 7344, 7400, 7656, 7640, 7648, 16,
    7752,       0,  7768,   7760, 304, 0,      8,    16,   72,   152,  160,  232,  32,   80,
    8,          0,  56,     72,   70,  208,    112,  120,  128,  136,  68,   52,   96,   104,
    200,        16, 8,      416,  24,  88,     168,  32,   24,   16,   40,   24,   16,   48,
    32,         40, 24,     16,   32,  16,     24,   40,   16,   32,   64,   32,   16,   40};

PublishedOffsets published_3130() {
  return PublishedOffsets{kWords3130};
}

TEST(PythonLayout, KnownVersions) {
  EXPECT_NE(find_python_layout(2, 7), nullptr);
  for (int minor = 6; minor <= 15; ++minor) {
    const PythonLayout* layout = find_python_layout(3, minor);
    ASSERT_NE(layout, nullptr) << minor;
    EXPECT_EQ(layout->minor, minor);
    EXPECT_EQ(layout->has_interpreter_frames(), minor >= 11);
    EXPECT_EQ(layout->thread_native_id >= 0, minor >= 11);
  }
  EXPECT_EQ(find_python_layout(3, 16), nullptr);
  EXPECT_EQ(find_python_layout(3, 5), nullptr);
  EXPECT_EQ(find_python_layout(2, 6), nullptr);
}

TEST(PythonLayout, PublishedOffsetsAgreeWithTheTable) {
  const auto parsed = parse_python_debug_offsets(published_3130().bytes);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->hex_version, 0x030d00f0u);
  EXPECT_FALSE(parsed->free_threaded);
  EXPECT_EQ(parsed->layout, *find_python_layout(3, 13));
  const auto of_314 = parse_python_debug_offsets(published_314().bytes);
  ASSERT_TRUE(of_314);
  EXPECT_EQ(of_314->layout, *find_python_layout(3, 14));
  const auto of_315 = parse_python_debug_offsets(published_315().bytes);
  ASSERT_TRUE(of_315);
  EXPECT_EQ(of_315->layout, *find_python_layout(3, 15));
}

TEST(PythonLayout, PublishedOffsetsWinOverTheTable) {
  PublishedOffsets published = published_3130();
  published.word(35, 144);  // co_name
  const auto parsed = parse_python_debug_offsets(published.bytes);
  ASSERT_TRUE(parsed && parsed->layout);
  EXPECT_EQ(parsed->layout->code_name, 144);
  PublishedOffsets of_315 = published_315();
  of_315.word(29, 192);  // thread_id
  ASSERT_TRUE(parse_python_debug_offsets(of_315.bytes)->layout);
  EXPECT_EQ(parse_python_debug_offsets(of_315.bytes)->layout->thread_ident, 192);
}

TEST(PythonLayout, ImplausibleUnknownOrMissingPublication) {
  PublishedOffsets huge = published_3130();
  huge.word(22, std::uint64_t{1} << 60);
  EXPECT_FALSE(parse_python_debug_offsets(huge.bytes)->layout);
  PublishedOffsets gil = published_3130();
  gil.word(16, 5);  // before the GIL it is part of
  EXPECT_FALSE(parse_python_debug_offsets(gil.bytes)->layout);
  PublishedOffsets later = published_3130();
  later.word(0, 0x031000f0);
  const auto parsed = parse_python_debug_offsets(later.bytes);
  ASSERT_TRUE(parsed);
  EXPECT_FALSE(parsed->layout) << "another minor version publishes in another form";
  PublishedOffsets free_threaded = published_3130();
  free_threaded.word(1, 1);
  EXPECT_TRUE(parse_python_debug_offsets(free_threaded.bytes)->free_threaded);
  PublishedOffsets none = published_3130();
  none.bytes[0] = std::byte{'y'};
  EXPECT_FALSE(parse_python_debug_offsets(none.bytes));
  EXPECT_FALSE(parse_python_debug_offsets(std::span{none.bytes}.first(100)));
}

bool believed(const PublishedOffsets& published) {
  return parse_python_debug_offsets(published.bytes)->layout.has_value();
}

// One word more or less anywhere before the end of what is read.
void expect_disbelief_of_neighbours(const PublishedOffsets& whole, std::size_t read) {
  for (std::size_t at = 2; at < read; ++at) {
    PublishedOffsets more = whole, less = whole;
    const std::size_t from = 8 + at * 8, rest = whole.bytes.size() - from - 8;
    std::memmove(more.bytes.data() + from + 8, whole.bytes.data() + from, rest);
    std::memmove(less.bytes.data() + from, whole.bytes.data() + from + 8, rest);
    EXPECT_FALSE(believed(more)) << at;
    EXPECT_FALSE(believed(less)) << at;
  }
}

TEST(PythonLayout, AnotherFormThanThatOf314IsNotBelieved) {
  const auto with = [&](std::size_t word, std::uint64_t value) {
    PublishedOffsets published = published_314();
    published.word(word, value);
    return believed(published);
  };
  ASSERT_TRUE(believed(published_314()));
  EXPECT_FALSE(with(0, 0x030e00a7)) << "an alpha";
  EXPECT_TRUE(with(0, 0x030e02f0));
  EXPECT_FALSE(with(1, 1)) << "without GIL";
  EXPECT_FALSE(with(31, 90)) << "behind the frame's end";
  EXPECT_FALSE(with(40, 216)) << "behind the code's end";
  EXPECT_FALSE(with(8, 225864)) << "behind the interpreter's end";
  EXPECT_FALSE(with(48, 200)) << "bytecode of a thread's own";
  EXPECT_FALSE(with(18, 7700)) << "before the GIL it is part of";
  expect_disbelief_of_neighbours(published_314(), 86);
}

TEST(PythonLayout, AnotherFormThanThatOf315IsNotBelieved) {
  const auto with = [&](std::size_t word, std::uint64_t value) {
    PublishedOffsets published = published_315();
    published.word(word, value);
    return believed(published);
  };
  ASSERT_TRUE(believed(published_315()));
  EXPECT_FALSE(with(0, 0x030f00a7)) << "an alpha";
  EXPECT_FALSE(with(39, 90)) << "behind the frame's end";
  EXPECT_FALSE(with(24, 888)) << "behind the thread's end";
  EXPECT_FALSE(with(45, 72)) << "bytecode of a thread's own";
  EXPECT_FALSE(with(0, 0x030e02f0)) << "the form of another version";
  expect_disbelief_of_neighbours(published_315(), 102);
}

// What the module of 3.14.10 publishes.
constexpr std::uint64_t kAsyncioWords[] = {168,    136,   96,  108, 109, 128, 152,
                                           225864, 10880, 936, 864, 872, 880};

TEST(PythonLayout, AsyncioAgreesWithTheTableAndWinsOverIt) {
  PythonLayout layout = *find_python_layout(3, 14);
  std::array<std::uint64_t, 13> words{};
  std::ranges::copy(kAsyncioWords, words.begin());
  ASSERT_TRUE(take_asyncio_offsets(std::as_bytes(std::span{words}), layout));
  EXPECT_EQ(layout, *find_python_layout(3, 14));
  words[6] = 144;
  words[8] = 10888;
  ASSERT_TRUE(take_asyncio_offsets(std::as_bytes(std::span{words}), layout));
  EXPECT_EQ(layout.task_node, 144);
  EXPECT_EQ(layout.interp_tasks, 10888);
}

TEST(PythonLayout, ImplausibleWordsOfAsyncioChangeNothing) {
  PythonLayout layout = *find_python_layout(3, 14);
  const auto with = [&](std::size_t word, std::uint64_t value) {
    std::array<std::uint64_t, 13> words{};
    std::ranges::copy(kAsyncioWords, words.begin());
    words.at(word) = value;
    return take_asyncio_offsets(std::as_bytes(std::span{words}), layout);
  };
  EXPECT_FALSE(with(6, 168)) << "behind the task's end";
  EXPECT_FALSE(with(8, 225864)) << "behind the interpreter's end";
  EXPECT_FALSE(with(12, 936)) << "behind the thread's end";
  EXPECT_FALSE(with(0, 0));
  EXPECT_FALSE(take_asyncio_offsets(std::as_bytes(std::span{kAsyncioWords}).first(96), layout));
  EXPECT_EQ(layout, *find_python_layout(3, 14));
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
