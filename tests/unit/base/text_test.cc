#include "tracer/base/text.h"

#include <gtest/gtest.h>

namespace stucktrace::base {
namespace {

using namespace std::chrono_literals;

TEST(EscapeText, LeavesPrintableTextAlone) {
  EXPECT_EQ(escape_text("grüße, 世界 ✓"), "grüße, 世界 ✓");
}

TEST(EscapeText, DisarmsWhatATerminalWouldActOn) {
  EXPECT_EQ(escape_text("a\nb\tc\r"), "a\\nb\\tc\\r");
  EXPECT_EQ(escape_text("\x1b[31mred"), "\\x1b[31mred");
  EXPECT_EQ(escape_text(std::string_view{"\0", 1}), "\\x00");
  EXPECT_EQ(escape_text("\xc2\x9b"), "\\xc2\\x9b") << "C1 control";
  EXPECT_EQ(escape_text("\xe2\x80\xae"), "\\xe2\\x80\\xae") << "right-to-left override";
}

TEST(EscapeText, EscapesInvalidUtf8ByteByByte) {
  EXPECT_EQ(escape_text("\xff"), "\\xff");
  EXPECT_EQ(escape_text("\xc3"), "\\xc3") << "cut";
  EXPECT_EQ(escape_text("\xc0\x80"), "\\xc0\\x80") << "overlong";
  EXPECT_EQ(escape_text("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "surrogate";
}

TEST(EscapeText, CutsAtTheLimit) {
  EXPECT_EQ(escape_text("abcdef", 3), "abc…");
}

TEST(HumanDuration, KeepsTwoFigures) {
  EXPECT_EQ(human_duration(0ns), "0 ns");
  EXPECT_EQ(human_duration(1500ns), "1.5 µs");
  EXPECT_EQ(human_duration(50ms), "50 ms");
  EXPECT_EQ(human_duration(4900ms), "4.9 s");
  EXPECT_EQ(human_duration(5s), "5 s");
  EXPECT_EQ(human_duration(59400ms), "59 s");
  EXPECT_EQ(human_duration(125s), "2 min 5 s");
  EXPECT_EQ(human_duration(7200s), "2 h 0 min");
  EXPECT_EQ(human_duration(-2s), "-2 s");
}

TEST(HumanBytes, GroupsDigits) {
  EXPECT_EQ(human_bytes(1), "1 byte");
  EXPECT_EQ(human_bytes(999), "999 bytes");
  EXPECT_EQ(human_bytes(200009), "200 009 bytes");
  EXPECT_EQ(human_bytes(1234567), "1 234 567 bytes");
}

TEST(Split, KeepsEmptyParts) {
  EXPECT_EQ(split("a::b", ':'), (std::vector<std::string_view>{"a", "", "b"}));
  EXPECT_EQ(split("", ':').size(), 1U);
}

TEST(Trim, TakesBlanksOffBothEnds) {
  EXPECT_EQ(trim(" \ta b\r\n"), "a b");
  EXPECT_EQ(trim(" \n"), "");
}

}  // namespace
}  // namespace stucktrace::base
