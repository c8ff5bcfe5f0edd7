#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/render/golden.h"
#include "tracer/render/escape.h"
#include "tracer/render/speech.h"
#include "tracer/render/style.h"
#include "tracer/render/wrap.h"

namespace stucktrace::render {
namespace {

using base::Instant;
using base::Pid;
using base::Tid;

TEST(Escape, TerminalText) {
  EXPECT_EQ(terminal_text("plain"), "plain");
  EXPECT_EQ(terminal_text("a\x1b[31mb\nc"), "a\\x1b[31mb\\nc");
  EXPECT_EQ(terminal_text("größer", 4), "grö…");
  EXPECT_EQ(columns(terminal_text(std::string(1 << 20, 'x'), 10)), 10U);
  EXPECT_EQ(terminal_text("", 10), "");
}

TEST(Escape, Quoted) {
  EXPECT_EQ(render::quoted("say \"hi\""), "\"say \\\"hi\\\"\"");
  EXPECT_TRUE(test::terminal_safe(render::quoted(std::string("\0\x01\x7f\xff", 4))));
}

TEST(Escape, CommandLines) {
  EXPECT_EQ(command_text({"ls", "-l", "/tmp/x"}, 80), "ls -l /tmp/x");
  EXPECT_EQ(command_text({"sh", "-c", "a | b"}, 80), "sh -c 'a | b'");
  EXPECT_EQ(command_text({"echo", "it's", ""}, 80), R"(echo 'it'\''s' '')");
  EXPECT_EQ(columns(command_text({std::string(500, 'x')}, 40)), 40U);
  EXPECT_EQ(columns(command_text(std::vector<std::string>(10000, "x"), 40)), 40U);
  EXPECT_TRUE(test::terminal_safe(command_text({"\x1b[2J"}, 80)));
}

TEST(Escape, PathsKeepTheirEnd) {
  EXPECT_EQ(path_text("/usr/lib/x.py", 60), "/usr/lib/x.py");
  EXPECT_EQ(path_text("/usr/lib/python3.11/queues.py", 12), "…1/queues.py");
  EXPECT_EQ(columns(path_text(std::string(100000, 'x'), 20)), 20U);
}

TEST(Wrap, BreaksAtBlanksOnly) {
  EXPECT_EQ(wrapped("one two three", "> ", "  ", 9), "> one two\n  three\n");
  EXPECT_EQ(wrapped("one two", "", "", 0), "one two\n");
  EXPECT_EQ(wrapped("", "> ", "  ", 9), "> \n");
  EXPECT_EQ(wrapped("unbreakable", "", "  ", 4), "unbreakable\n");
  EXPECT_EQ(wrapped("of 200 009 bytes", "", "", 8), "of\n200 009 bytes\n");
  EXPECT_EQ(wrapped("since 4.9 s, so", "", "", 9), "since\n4.9 s, so\n");
}

TEST(Style, PaintsOnlyWhenAsked) {
  EXPECT_EQ(Painter(false)(Style::kAlarm, "x"), "x");
  EXPECT_EQ(Painter(true)(Style::kPlain, "x"), "x");
  EXPECT_EQ(Painter(true)(Style::kAlarm, "x"), "\x1b[1;31mx\x1b[0m");
  EXPECT_EQ(Painter(true)(Style::kAlarm, ""), "");
}

// ---- speech -------------------------------------------------------------------------------------

Instant at(double seconds) {
  return {base::Nanoseconds{static_cast<std::int64_t>(seconds * 1e9)}};
}

Speech::Line from(int pid, double seconds, bool aside = false) {
  Speech::Line line;
  line.pid = Pid{pid};
  line.tid = Tid{pid};
  line.fd = 1;
  line.at = at(seconds);
  line.aside = aside;
  return line;
}

std::vector<std::string> texts(const std::vector<Speech::Line>& lines) {
  std::vector<std::string> out;
  for (const Speech::Line& line : lines) out.push_back(line.text);
  return out;
}

TEST(Speech, LinesAcrossWrites) {
  Speech speech;
  EXPECT_TRUE(speech.write(from(1, 0), "one ", 4).empty());
  EXPECT_THAT(texts(speech.write(from(1, 0.1), "line\ntwo\nthr", 12)),
              testing::ElementsAre("one line", "two"));
  EXPECT_THAT(texts(speech.end(Pid{1})), testing::ElementsAre("thr"));
  EXPECT_TRUE(speech.flush().empty());
}

TEST(Speech, ProcessesDoNotMix) {
  Speech speech;
  speech.write(from(1, 0), "a", 1);
  speech.write(from(2, 0), "b", 1);
  EXPECT_THAT(texts(speech.write(from(1, 0), "a\n", 2)), testing::ElementsAre("aa"));
  EXPECT_THAT(texts(speech.end(Pid{2})), testing::ElementsAre("b"));
}

TEST(Speech, BytesThatWereNotKeptCount) {
  Speech speech;
  for (int i = 0; i < 100; ++i) speech.write(from(1, 0), std::string(1000, 'x'), 5000);
  const auto lines = speech.end(Pid{1});
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0].size, 500000U);
  EXPECT_LE(lines[0].text.size(), 512U);
}

TEST(Speech, APromptIsToldAfterAWhile) {
  Speech speech;
  speech.write(from(1, 5), "name? ", 6);
  EXPECT_EQ(speech.due(), at(6));
  EXPECT_TRUE(speech.take_due(at(5.9)).empty());
  EXPECT_THAT(texts(speech.take_due(at(6))), testing::ElementsAre("name? "));
  EXPECT_FALSE(speech.due());
}

TEST(Speech, FloodOfASecond) {
  Speech speech;
  std::size_t told = 0;
  for (int i = 0; i < 100; ++i) {
    told += speech.write(from(1, 0.001 * i), fmt::format("{}\n", i), 9).size();
  }
  EXPECT_EQ(told, Speech::kLinesPerWindow);
  EXPECT_EQ(speech.due(), at(1));
  const auto last = speech.take_due(at(1));
  ASSERT_EQ(last.size(), 1U);
  EXPECT_EQ(last[0].text, "99");
  EXPECT_EQ(last[0].before, 89U);
  EXPECT_EQ(speech.write(from(1, 1.5), "next\n", 5).size(), 1U);
  // To another process: less.
  told = 0;
  for (int i = 0; i < 100; ++i) told += speech.write(from(2, 0, true), "x\n", 2).size();
  EXPECT_EQ(told, Speech::kAsideLinesPerWindow);
}

TEST(Speech, BlankLinesAreSilent) {
  Speech speech;
  EXPECT_TRUE(speech.write(from(1, 0), "\n  \n\t\r\n", 7).empty());
}

}  // namespace
}  // namespace stucktrace::render
