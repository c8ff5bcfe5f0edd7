#include "tracer/kernel/descendants.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "tracer/base/unique_fd.h"

namespace stucktrace::kernel {
namespace {

// A child that makes one of its own when told to, and tells its number.
class Child {
 public:
  Child() {
    int ask[2], answer[2];
    if (::pipe(ask) != 0 || ::pipe(answer) != 0) return;
    pid_ = ::fork();
    if (pid_ == 0) {
      char byte = 0;
      if (::read(ask[0], &byte, 1) == 1) {
        const pid_t made = ::fork();
        if (made == 0) ::pause();
        if (::write(answer[1], &made, sizeof made) != sizeof made) ::_exit(1);
      }
      ::pause();
    }
    ::close(ask[0]);
    ::close(answer[1]);
    ask_ = base::UniqueFd{ask[1]};
    answer_ = base::UniqueFd{answer[0]};
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (made_ > 0) ::kill(made_, SIGKILL);
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  base::Pid pid() const { return base::Pid{pid_}; }
  base::Pid make_one() {
    if (::write(ask_.get(), "x", 1) != 1) return {};
    if (::read(answer_.get(), &made_, sizeof made_) != sizeof made_) return {};
    return base::Pid{made_};
  }

 private:
  pid_t pid_ = -1;
  pid_t made_ = -1;
  base::UniqueFd ask_;
  base::UniqueFd answer_;
};

bool holds(const std::vector<Descendants::Process>& all, base::Pid pid) {
  return std::ranges::find(all, pid, &Descendants::Process::pid) != all.end();
}

TEST(Descendants, AreThoseThatCameLater) {
  const Procfs procfs;
  Child before;
  const Descendants descendants{procfs};
  Child after;
  const base::Pid grandchild = after.make_one();
  const auto now = descendants.now();
  EXPECT_FALSE(holds(now, before.pid()));
  EXPECT_TRUE(holds(now, after.pid()));
  EXPECT_TRUE(holds(now, grandchild));
}

TEST(Descendants, WhatAFormerOneMakesIsNotOurs) {
  const Procfs procfs;
  Child before;
  Descendants descendants{procfs};
  EXPECT_TRUE(descendants.has_former());
  const base::Pid made = before.make_one();
  ASSERT_NE(made, base::Pid{});
  EXPECT_FALSE(holds(descendants.now(), made));
  descendants.note_former();
  EXPECT_FALSE(holds(descendants.now(), made));
  EXPECT_FALSE(holds(descendants.now(), before.pid()));
}

TEST(Descendants, ASignalReachesTheProcessOrNobody) {
  const Procfs procfs;
  const Descendants descendants{procfs};
  Child child;
  const auto now = descendants.now();
  const auto one = std::ranges::find(now, child.pid(), &Descendants::Process::pid);
  ASSERT_NE(one, now.end());
  Descendants::Process stranger = *one;
  ++stranger.start_time;  // what had this number before
  EXPECT_FALSE(descendants.signal(stranger, SIGKILL));
  EXPECT_TRUE(descendants.signal(*one, 0));
}

}  // namespace
}  // namespace stucktrace::kernel
