#include "tracer/unwind/go_table.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace stucktrace::unwind {
namespace {

constexpr std::uint64_t kText = 0x401000;

// A table of two functions as the linker of Go 1.20 lays it out: main.main at +0 (0x40 bytes, a
// frame of 24 from its fourth byte on, lines 10 and 12) and main.wait at +0x40 (0x20 bytes, no
// frame).
class Built {
 public:
  explicit Built(std::uint32_t magic = 0xfffffff1, std::uint64_t text_start = kText) {
    put32(magic);
    put8(0), put8(0), put8(1), put8(8);
    for (int i = 0; i < 8; ++i) put64(0);
    set64(8, 2);   // functions
    set64(16, 1);  // files
    set64(24, text_start);
    set64(32, bytes.size());  // names
    const auto name_main = text("main.main");
    const auto name_wait = text("main.wait");
    set64(40, bytes.size());  // units
    put32(0);
    set64(48, bytes.size());  // files
    text("/src/main.go");
    const std::uint64_t tables = bytes.size();
    set64(56, tables);
    put8(0);  // offset 0 means none
    const auto sizes_main = here(tables);
    pairs({{1, 4}, {24, 60}});  // from -1: 0 for 4 bytes, then 24
    const auto sizes_wait = here(tables);
    pairs({{1, 32}});
    const auto files = here(tables);
    pairs({{1, 64}});
    const auto lines_main = here(tables);
    pairs({{11, 16}, {2, 48}});
    const auto lines_wait = here(tables);
    pairs({{21, 32}});
    const std::uint64_t lookup = bytes.size();
    set64(64, lookup);
    const std::size_t entries = bytes.size();
    for (int i = 0; i < 5; ++i) put32(0);
    set32(entries, 0);
    set32(entries + 4, here(lookup));
    function(0, name_main, sizes_main, files, lines_main);
    set32(entries + 8, 0x40);
    set32(entries + 12, here(lookup));
    function(0x40, name_wait, sizes_wait, files, lines_wait);
    set32(entries + 16, 0x60);
  }
  std::vector<std::byte> bytes;

 private:
  void put8(unsigned value) { bytes.push_back(static_cast<std::byte>(value)); }
  template <class T>
  void put(T value) {
    const std::size_t at = bytes.size();
    bytes.resize(at + sizeof value);
    std::memcpy(bytes.data() + at, &value, sizeof value);
  }
  void put32(std::uint32_t value) { put(value); }
  void put64(std::uint64_t value) { put(value); }
  void set32(std::size_t at, std::uint64_t value) {
    const auto narrow = static_cast<std::uint32_t>(value);
    std::memcpy(bytes.data() + at, &narrow, sizeof narrow);
  }
  void set64(std::size_t at, std::uint64_t value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
  }
  std::uint32_t here(std::uint64_t base) const {
    return static_cast<std::uint32_t>(bytes.size() - base);
  }
  std::uint32_t text(std::string_view words) {
    const std::uint32_t at = names_used_;
    for (const char c : words) put8(static_cast<unsigned char>(c));
    put8(0);
    names_used_ += static_cast<std::uint32_t>(words.size() + 1);
    return at;
  }
  void pairs(std::initializer_list<std::pair<int, unsigned>> steps) {
    for (const auto& [change, length] : steps) {
      put8(static_cast<unsigned>(change) << 1U);  // zigzag of what is not negative
      put8(length);
    }
    put8(0);
  }
  void function(std::uint32_t start, std::uint32_t name, std::uint32_t sizes, std::uint32_t files,
                std::uint32_t lines) {
    for (const std::uint32_t field : {start, name, 0U, 0U, sizes, files, lines, 0U, 0U, 0U}) {
      put32(field);
    }
  }
  std::uint32_t names_used_ = 0;
};

TEST(GoTable, NamesLinesAndFrames) {
  for (const std::uint32_t magic : {0xfffffff0U, 0xfffffff1U}) {
    const auto table = GoTable::parse(Built(magic).bytes, 0);
    ASSERT_TRUE(table);
    const auto main = table->find(kText + 20);
    ASSERT_TRUE(main);
    EXPECT_EQ(main->function, "main.main");
    EXPECT_EQ(main->start, kText);
    EXPECT_EQ(main->file, "/src/main.go");
    EXPECT_EQ(main->line, 12);
    EXPECT_EQ(table->find(kText)->line, 10);
    EXPECT_EQ(table->frame_size(kText + 3), 0U);
    EXPECT_EQ(table->frame_size(kText + 4), 24U);
    EXPECT_EQ(table->find(kText + 0x5f)->function, "main.wait");
    EXPECT_EQ(table->find(kText + 0x5f)->line, 20);
    EXPECT_EQ(table->frame_size(kText + 0x40), 0U);
  }
}

TEST(GoTable, NothingOutsideOfItsCode) {
  const auto table = GoTable::parse(Built().bytes, 0);
  ASSERT_TRUE(table);
  EXPECT_FALSE(table->find(kText - 1));
  EXPECT_FALSE(table->find(kText + 0x60));
  EXPECT_FALSE(table->frame_size(0));
}

TEST(GoTable, ATextStartThatIsRelocatedIsTheSections) {
  const auto table = GoTable::parse(Built(0xfffffff1, 0).bytes, 0x5000);
  ASSERT_TRUE(table);
  EXPECT_EQ(table->find(0x5000)->function, "main.main");
}

TEST(GoTable, OtherFormatsAreNone) {
  EXPECT_FALSE(GoTable::parse({}, 0));
  EXPECT_FALSE(GoTable::parse(Built(0xfffffffb).bytes, 0)) << "Go 1.2";
  auto narrow = Built().bytes;
  narrow[7] = std::byte{4};
  EXPECT_FALSE(GoTable::parse(narrow, 0));
}

TEST(GoTable, WhereTheStackBegins) {
  EXPECT_TRUE(GoTable::is_outermost("runtime.goexit"));
  EXPECT_TRUE(GoTable::is_outermost("runtime.mcall.abi0"));
  EXPECT_FALSE(GoTable::is_outermost("runtime.main"));
  EXPECT_FALSE(GoTable::is_outermost("main.goexit"));
}

// Whatever the bytes are: no read outside of them, and an end (the sanitizers watch).
TEST(GoTable, DamageIsSurvived) {
  std::mt19937 random(7);
  const std::vector<std::byte> good = Built().bytes;
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::byte> bytes = good;
    for (int i = 0; i < 4; ++i) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    if (round % 5 == 0) bytes.resize(random() % bytes.size());
    const auto table = GoTable::parse(std::move(bytes), kText);
    if (!table) continue;
    for (const std::uint64_t address : {kText, kText + 0x25, kText + 0x5f}) {
      static_cast<void>(table->find(address));
      static_cast<void>(table->frame_size(address));
    }
  }
}

}  // namespace
}  // namespace stucktrace::unwind
