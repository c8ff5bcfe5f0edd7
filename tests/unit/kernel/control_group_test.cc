#include "tracer/kernel/control_group.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/fake_proc.h"
#include "tracer/kernel/pidfd.h"

namespace stucktrace::kernel {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

// A child that makes one of its own once it is told to.
class Pair {
 public:
  Pair() {
    std::array<int, 2> ask{};
    std::array<int, 2> answer{};
    if (::pipe2(ask.data(), O_CLOEXEC) != 0 || ::pipe2(answer.data(), O_CLOEXEC) != 0) return;
    const pid_t child = ::fork();
    if (child == 0) {
      char byte = 0;
      if (::read(ask[0], &byte, 1) != 1) ::_exit(1);
      const pid_t made = ::fork();
      if (made != 0 && ::write(answer[1], &made, sizeof made) != sizeof made) ::_exit(1);
      while (true) ::pause();
    }
    ::close(ask[0]);
    ::close(answer[1]);
    ask_ = base::UniqueFd{ask[1]};
    answer_ = base::UniqueFd{answer[0]};
    upper = base::Pid{child};
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  ~Pair() {
    if (lower) ::kill(lower.value(), SIGKILL);
    ::kill(upper.value(), SIGKILL);
    ::waitpid(upper.value(), nullptr, 0);
  }

  bool make_lower() {
    pid_t made = -1;
    if (::write(ask_.get(), "x", 1) != 1) return false;
    if (::read(answer_.get(), &made, sizeof made) != sizeof made || made < 0) return false;
    lower = base::Pid{made};
    return true;
  }

  base::Pid upper;
  base::Pid lower;

 private:
  base::UniqueFd ask_, answer_;
};

bool ends(base::Pid pid) {
  constexpr int kPatienceMs = 30'000;
  const auto handle = open_pidfd(pid);
  if (!handle) return true;
  pollfd end{.fd = handle->get(), .events = POLLIN, .revents = 0};
  return ::poll(&end, 1, kPatienceMs) == 1;
}

bool lives(base::Pid pid) {
  const auto stat = Procfs{}.stat(pid);
  return stat && stat->state != 'Z' && stat->state != 'X';
}

std::string group_of(base::Pid pid) {
  const auto text = Procfs{}.text(fmt::format("{}/cgroup", pid));
  const std::size_t at = text ? text->find("0::") : std::string::npos;
  return at == std::string::npos ? "" : text->substr(at, text->find('\n', at) - at);
}

class ControlGroupTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = ControlGroup::make(Procfs{});
    if (!made) GTEST_SKIP() << made.error().message();
    group_ = std::move(*made);
    ASSERT_TRUE(group_->add(pair_.upper)) << "the group takes nobody";
    ASSERT_TRUE(pair_.make_lower());
  }
  // Below the group, with the lower one of the pair in it.
  std::string make_nested() {
    const std::string nested = group_->path() + "/a";
    fs::create_directories(nested + "/b");
    std::ofstream{nested + "/b/cgroup.procs"} << pair_.lower.value();
    return nested;
  }

  std::unique_ptr<ControlGroup> group_;
  Pair pair_;
};

TEST_F(ControlGroupTest, WhatAMemberStartsIsAMember) {
  EXPECT_THAT(group_->members(), UnorderedElementsAre(pair_.upper, pair_.lower));
}

TEST_F(ControlGroupTest, SignalsGoToAllButTheOthers) {
  group_->signal(SIGTERM, {pair_.upper});
  EXPECT_TRUE(ends(pair_.lower));
  EXPECT_TRUE(lives(pair_.upper));
}

TEST_F(ControlGroupTest, WhatIsStoppedRunsToTakeIt) {
  ASSERT_EQ(::kill(pair_.lower.value(), SIGSTOP), 0);
  group_->signal(SIGTERM, {});
  EXPECT_TRUE(ends(pair_.lower));
}

TEST_F(ControlGroupTest, KilledAndRemovedWithTheGroupsBelow) {
  make_nested();
  EXPECT_THAT(group_->members(), UnorderedElementsAre(pair_.upper, pair_.lower));
  group_->kill();
  EXPECT_TRUE(ends(pair_.lower));
  EXPECT_TRUE(ends(pair_.upper));
  EXPECT_TRUE(group_->remove());
  EXPECT_FALSE(fs::exists(group_->path()));
}

TEST_F(ControlGroupTest, WhoeverIsLeftGoesOnInOurGroup) {
  EXPECT_NE(group_of(pair_.lower), group_of(base::Pid{::getpid()}));
  EXPECT_TRUE(group_->remove());
  EXPECT_FALSE(fs::exists(group_->path()));
  for (const base::Pid pid : {pair_.upper, pair_.lower}) {
    EXPECT_TRUE(lives(pid));
    EXPECT_EQ(group_of(pid), group_of(base::Pid{::getpid()}));
  }
}

TEST_F(ControlGroupTest, GroupsOfTheirOwnAreLeftAloneAndRemovedByTheNextOnceEmpty) {
  const std::string nested = make_nested();
  const std::string path = group_->path();
  const auto removed = group_->remove();
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().kind, base::ErrorKind::kUnsupported);
  EXPECT_TRUE(fs::exists(nested + "/b"));
  group_.reset();
  ASSERT_TRUE(ControlGroup::make(Procfs{}));
  EXPECT_TRUE(fs::exists(path)) << "it has members";
  for (const base::Pid pid : {pair_.upper, pair_.lower}) {
    ::kill(pid.value(), SIGKILL);
    ASSERT_TRUE(ends(pid));
  }
  // A process that ends is no member any more a moment before nobody counts it.
  for (int tries = 0; tries < 1000 && fs::exists(path); ++tries) {
    ASSERT_TRUE(ControlGroup::make(Procfs{}));
  }
  EXPECT_FALSE(fs::exists(path));
}

// A directory in the place of a hierarchy: what is read of it can be anything.
class OwnGroup : public testing::Test {
 protected:
  OwnGroup() {
    proc_.write("self/cgroup", "3:cpu:/x\n0::/own\n");
    proc_.write("self/mountinfo",
                fmt::format("1 0 0:1 / {} rw - cgroup2 none rw\n", groups_.root()));
    procs(::getpid());
    write("cgroup.type", "domain\n");
  }
  void write(const std::string& name, const std::string& text) {
    groups_.write("own/" + name, text);
  }
  void procs(int pid) { write("cgroup.procs", fmt::format("1\n{}\n", pid)); }
  // "" if there is a group.
  std::string why_not() {
    const auto made = ControlGroup::make(Procfs{proc_.root()});
    return made ? "" : made.error().message();
  }

  test::FakeProc proc_;
  test::FakeProc groups_;
};

TEST_F(OwnGroup, IsWhereTheOthersIsMade) {
  const auto made = ControlGroup::make(Procfs{proc_.root()});
  ASSERT_TRUE(made);
  EXPECT_EQ((*made)->path(), fmt::format("{}/own/stucktrace-run-{}", groups_.root(), ::getpid()));
  const auto second = ControlGroup::make(Procfs{proc_.root()});
  ASSERT_TRUE(second) << "another namespace's process may have the same number";
  EXPECT_EQ((*second)->path(), (*made)->path() + ".1");
}

TEST_F(OwnGroup, MustShowUs) {
  procs(1);
  EXPECT_THAT(why_not(), HasSubstr("no hierarchy of version 2"));
  proc_.write("self/cgroup", "3:cpu:/x\n");
  EXPECT_THAT(why_not(), HasSubstr("no hierarchy of version 2"));
}

TEST_F(OwnGroup, MustHaveNoLimitsOfItsOwn) {
  write("memory.max", "max\n");
  write("cpu.max", "max 100000\n");
  EXPECT_EQ(why_not(), "");
  write("cpu.max", "50000 100000\n");
  EXPECT_THAT(why_not(), HasSubstr("cpu.max is set"));
  write("memory.max", "1000000\n");
  EXPECT_THAT(why_not(), HasSubstr("memory.max is set"));
}

TEST_F(OwnGroup, MustNotBeTheRootWithControllers) {
  write("cgroup.controllers", "hugetlb memory\n");
  EXPECT_EQ(why_not(), "");
  fs::remove(groups_.root() + "/own/cgroup.type");
  EXPECT_THAT(why_not(), HasSubstr("root group"));
  write("cgroup.controllers", "hugetlb misc\n");
  EXPECT_EQ(why_not(), "");
}

TEST_F(OwnGroup, OnlyWhatKilledToolsHaveLeftEmptyIsRemoved) {
  const std::string own = groups_.root() + "/own/";
  const auto make = [&](const std::string& name) { fs::create_directory(own + name); };
  // A directory with a file in it cannot be removed here, unlike a group: what is tried all the
  // same loses the group below it.
  const auto populated = [&](const std::string& name, int value) {
    make(name);
    make(name + "/below");
    std::ofstream{own + name + "/cgroup.events"} << fmt::format("populated {}\nfrozen 0\n", value);
  };
  populated("stucktrace-run-7", 0);
  populated("stucktrace-run-7.1", 0);
  populated("stucktrace-run-8", 1);
  populated("stucktrace-run-9", 0);
  populated("stucktrace-run-", 0);
  populated("stucktrace-run-7x", 0);
  const base::UniqueFd held{::open((own + "stucktrace-run-9").c_str(), O_RDONLY | O_CLOEXEC)};
  ASSERT_EQ(::flock(held.get(), LOCK_EX | LOCK_NB), 0);
  ASSERT_EQ(why_not(), "");
  EXPECT_FALSE(fs::exists(own + "stucktrace-run-7/below"));
  EXPECT_FALSE(fs::exists(own + "stucktrace-run-7.1/below"));
  EXPECT_TRUE(fs::exists(own + "stucktrace-run-8/below")) << "somebody lives in it";
  EXPECT_TRUE(fs::exists(own + "stucktrace-run-9/below")) << "its maker lives";
  EXPECT_TRUE(fs::exists(own + "stucktrace-run-/below")) << "no name of ours";
  EXPECT_TRUE(fs::exists(own + "stucktrace-run-7x/below")) << "no name of ours";
}

}  // namespace
}  // namespace stucktrace::kernel
