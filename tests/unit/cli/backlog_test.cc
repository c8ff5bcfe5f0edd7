// A reader who does not read holds nobody up, and loses nothing silently.

#include "tracer/cli/backlog.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <string>

#include "tracer/cli/output.h"

namespace stucktrace::cli {
namespace {

// Goes on by itself at each look, so that no wait is for ever.
class SteppingClock final : public base::Clock {
 public:
  base::Instant now() const override {
    return base::Instant{time_ += std::chrono::milliseconds{10}};
  }
  base::Nanoseconds wall() const override { return {}; }

 private:
  mutable base::Nanoseconds time_{};
};

class Backlogs : public testing::Test {
 protected:
  void SetUp() override {
    // As in the tool: a reader who is gone is told by EPIPE.
    std::signal(SIGPIPE, SIG_IGN);
    ASSERT_EQ(::pipe2(ends_.data(), O_CLOEXEC | O_NONBLOCK), 0);
  }
  void TearDown() override {
    for (const int fd : ends_) ::close(fd);
  }
  void fill() const {
    const std::string bytes(4096, '.');
    while (::write(ends_[1], bytes.data(), bytes.size()) > 0) {
    }
    ASSERT_EQ(errno, EAGAIN);
  }
  std::string read_all() const {
    std::string text;
    std::array<char, 65536> bytes{};
    ssize_t size = 0;
    while ((size = ::read(ends_[0], bytes.data(), bytes.size())) > 0) {
      text.append(bytes.data(), static_cast<std::size_t>(size));
    }
    return text.substr(std::min(text.find_first_not_of('.'), text.size()));
  }
  std::array<int, 2> ends_{-1, -1};
  std::atomic<bool> hurry_{false};
  SteppingClock clock_;
};

TEST_F(Backlogs, WhatHasRoomGoesOutAtOnce) {
  Backlog backlog(ends_[1], "pipe", hurry_, clock_);
  backlog.put("a\n", Backlog::Patience::kNone);
  EXPECT_EQ(read_all(), "a\n");
  EXPECT_EQ(backlog.take(), "");
}

TEST_F(Backlogs, WhatHasNoneIsKeptInOrder) {
  fill();
  Backlog backlog(ends_[1], "pipe", hurry_, clock_);
  backlog.put("a\n", Backlog::Patience::kWhileRead);
  backlog.put("b\n", Backlog::Patience::kNone);
  EXPECT_EQ(read_all(), "");
  backlog.retry();
  backlog.put("c\n", Backlog::Patience::kNone);
  EXPECT_EQ(read_all(), "a\nb\nc\n");
}

TEST_F(Backlogs, WhatIsTooMuchIsLeftOutAndCounted) {
  fill();
  Backlog backlog(ends_[1], "pipe", hurry_, clock_);
  const std::string lines(Backlog::kMost / 2, 'x');
  backlog.put(lines + "\n", Backlog::Patience::kNone);
  backlog.put(lines + "1\n2\n", Backlog::Patience::kNone);
  // Nothing is read: who waits for a slow reader gives up.
  backlog.put(lines + "3\n", Backlog::Patience::kWhileRead);
  backlog.put("short\n", Backlog::Patience::kNone);
  EXPECT_EQ(backlog.take(),
            lines + "\nstucktrace: 3 lines left out here: pipe was not read\nshort\n" +
                "stucktrace: 3 lines were left out in all, since pipe was not read\n");
}

TEST_F(Backlogs, AHurryLeavesRoomForTheReport) {
  fill();
  Backlog backlog(ends_[1], "pipe", hurry_, clock_);
  const std::string lines = std::string(Backlog::kMost, 'x') + "\n";
  backlog.put(lines, Backlog::Patience::kNone);
  hurry_.store(true);
  backlog.put("report\n", Backlog::Patience::kWhileRead);
  EXPECT_EQ(backlog.take(), lines + "report\n");
}

TEST_F(Backlogs, AReaderWhoIsGoneIsAnError) {
  Backlog backlog(ends_[1], "pipe", hurry_, clock_);
  ::close(ends_[0]);
  ends_[0] = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  backlog.put("a\n", Backlog::Patience::kNone);
  backlog.put("b\n", Backlog::Patience::kWhileRead);
  EXPECT_EQ(backlog.failed().value(), EPIPE);
  EXPECT_EQ(backlog.take(), "");
}

TEST_F(Backlogs, ABlockingPipeIsNotWaitedFor) {
  fill();
  ASSERT_EQ(::fcntl(ends_[1], F_SETFL, 0), 0);
  EXPECT_EQ(write_now(ends_[1], "a"), -1);
  EXPECT_EQ(errno, EAGAIN);
}

TEST_F(Backlogs, AnOutputKeepsGoingAndSettles) {
  fill();
  Output out(ends_[1], "pipe");
  out.keep_going(hurry_, clock_);
  out.write("a\n");
  out.note("b\n");
  EXPECT_EQ(read_all(), "");
  out.settle();
  out.write("c\n");
  EXPECT_EQ(read_all(), "a\nb\nc\n");
  EXPECT_TRUE(out.check().has_value());
}

}  // namespace
}  // namespace stucktrace::cli
