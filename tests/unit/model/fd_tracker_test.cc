#include "tracer/model/fd_tracker.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/close_range.h>
#include <sched.h>

#include <cerrno>

#include "tests/support/event_script.h"

namespace stucktrace::model {
namespace {

using base::Pid;
using base::Tid;
using test::EventScript;
using test::fd_entry;

constexpr ResourceId kPipe{ResourceKind::kPipe, 0, 77, 0};

FdEntry read_end(int fd, bool close_on_exec = false) {
  return fd_entry(fd, ResourceKind::kPipe, 77, FdMode::kRead, "pipe:[77]", close_on_exec);
}
FdEntry write_end(int fd, bool close_on_exec = false) {
  return fd_entry(fd, ResourceKind::kPipe, 77, FdMode::kWrite, "pipe:[77]", close_on_exec);
}
TaskSeen with_fds(std::vector<FdEntry> fds, int parent = 1) {
  TaskSeen seen;
  seen.parent = Pid{parent};
  seen.fds = std::move(fds);
  return seen;
}

FdTracker after(const EventScript& script) {
  FdTracker tracker;
  for (const Event& event : script.events()) tracker.observe(event);
  return tracker;
}

EventScript pipe_owner() {
  return EventScript{}.seen(0, 10, 10, with_fds({read_end(3), write_end(4, true)}));
}

using Fds = std::vector<std::pair<int, int>>;  // pid, fd
Fds holders(const FdTracker& tracker, FdMode mode) {
  Fds found;
  for (const Holder& holder : tracker.holders(kPipe, mode)) {
    found.emplace_back(holder.pid.value(), holder.fd);
  }
  return found;
}

TEST(FdTracker, ItsVersionGrowsWithEveryChange) {
  FdTracker tracker;
  const auto changes = [&tracker](const EventScript& script) {
    const std::uint64_t before = tracker.version();
    for (const Event& event : script.events()) tracker.observe(event);
    return tracker.version() != before;
  };
  EXPECT_TRUE(changes(pipe_owner()));
  EXPECT_FALSE(changes(EventScript{}.call(1, 2, 10, 10, "read", {3, 0, 1}, 1)));
  EXPECT_FALSE(changes(EventScript{}.call(1, 2, 10, 10, "write", {4, 0, 1}, -EPIPE)));
  EXPECT_FALSE(changes(EventScript{}.call(1, 2, 10, 10, "getpid", {}, 10)));
  EXPECT_TRUE(changes(EventScript{}.call(3, 4, 10, 10, "dup", {3}, 5)));
  EXPECT_TRUE(changes(EventScript{}.call(3, 4, 10, 10, "fcntl", {3, F_SETFL, O_NONBLOCK}, 0)));
  EXPECT_TRUE(changes(EventScript{}.call(3, 4, 10, 10, "ioctl", {3, 0x5451, 0}, 0)));
  EXPECT_TRUE(
      changes(EventScript{}.call(3, 4, 10, 10, "recvmsg", {3, 0, 0}, 1, {}, {read_end(8)})));
  EXPECT_TRUE(changes(EventScript{}.call(3, 4, 10, 10, "unshare", {CLONE_FILES}, 0)));
  EXPECT_TRUE(changes(EventScript{}.call(3, 4, 10, 10, "close", {3}, 0)));
  EXPECT_TRUE(changes(EventScript{}.made(5, 10, 10, 20, NewTaskKind::kFork)));
  EXPECT_TRUE(changes(EventScript{}.add(6, 20, 20, TaskExit{})));
}

TEST(FdTracker, SeesTablesOfTasksSeen) {
  const FdTracker tracker = after(pipe_owner());
  EXPECT_EQ(tracker.find(Pid{10}, 3)->resource, kPipe);
  EXPECT_EQ(tracker.find(Pid{10}, 9), nullptr);
  EXPECT_EQ(tracker.find(Pid{11}, 3), nullptr);
  EXPECT_EQ(holders(tracker, FdMode::kRead), (Fds{{10, 3}}));
  EXPECT_EQ(holders(tracker, FdMode::kBoth), (Fds{{10, 3}, {10, 4}}));
}

TEST(FdTracker, MadeFdsOfPipe) {
  const FdTracker tracker =
      after(EventScript{}
                .seen(0, 10, 10, with_fds({}))
                .call(1, 2, 10, 10, "pipe2", {0x1000, 0}, 0, {}, {read_end(3), write_end(4)}));
  EXPECT_EQ(holders(tracker, FdMode::kWrite), (Fds{{10, 4}}));
}

TEST(FdTracker, ForkCopiesTheTable) {
  const FdTracker tracker = after(pipe_owner()
                                      .made(1, 10, 10, 20, NewTaskKind::kFork)
                                      .call(2, 3, 10, 10, "close", {3}, 0)
                                      .call(4, 5, 20, 20, "close", {4}, 0));
  EXPECT_EQ(holders(tracker, FdMode::kRead), (Fds{{20, 3}}));
  EXPECT_EQ(holders(tracker, FdMode::kWrite), (Fds{{10, 4}}));
}

TEST(FdTracker, ChildSeenFirstHasTheTableAndKeepsWhatItDidSince) {
  const FdTracker tracker = after(pipe_owner()
                                      .seen(1, 20, 20, with_fds({}, 10))
                                      .call(2, 3, 20, 20, "close", {3}, 0)
                                      .made(4, 10, 10, 20, NewTaskKind::kFork));
  EXPECT_EQ(holders(tracker, FdMode::kRead), (Fds{{10, 3}}));
  EXPECT_EQ(holders(tracker, FdMode::kWrite), (Fds{{10, 4}, {20, 4}}));
}

TEST(FdTracker, TaskSeenAfterTheForkIsTheTruth) {
  const FdTracker tracker = after(pipe_owner()
                                      .made(1, 10, 10, 20, NewTaskKind::kFork)
                                      .seen(2, 20, 20, with_fds({write_end(8)}, 10)));
  EXPECT_EQ(holders(tracker, FdMode::kWrite), (Fds{{10, 4}, {20, 8}}));
}

TEST(FdTracker, UnreadableTableAtAttachIsNotGuessed) {
  TaskSeen child = with_fds({}, 10);
  child.at_attach = true;
  const FdTracker tracker = after(pipe_owner().seen(1, 20, 20, child));
  EXPECT_EQ(holders(tracker, FdMode::kRead), (Fds{{10, 3}}));
}

TEST(FdTracker, SharedTablesChangeTogetherUntilUnshared) {
  EventScript script = pipe_owner();
  script.made(1, 10, 10, 20, NewTaskKind::kCloneProcess, true).call(2, 3, 20, 20, "close", {3}, 0);
  EXPECT_EQ(holders(after(script), FdMode::kRead), Fds{});
  script.call(4, 5, 20, 20, "unshare", {CLONE_FILES}, 0).call(6, 7, 20, 20, "close", {4}, 0);
  EXPECT_EQ(holders(after(script), FdMode::kWrite), (Fds{{10, 4}}));
}

TEST(FdTracker, ExecDropsCloseOnExecAndUnshares) {
  EventScript script = pipe_owner();
  script.made(1, 10, 10, 20, NewTaskKind::kCloneProcess, true)
      .add(2, 20, 20, Exec{Tid{}, "/bin/true", {}, {}});
  const FdTracker tracker = after(script);
  EXPECT_EQ(holders(tracker, FdMode::kRead), (Fds{{10, 3}, {20, 3}}));
  EXPECT_EQ(holders(tracker, FdMode::kWrite), (Fds{{10, 4}}));
}

TEST(FdTracker, ExecWithATableBelievesIt) {
  const FdTracker tracker =
      after(pipe_owner().add(2, 10, 10, Exec{Tid{}, "/bin/true", {}, {write_end(1)}}));
  EXPECT_EQ(holders(tracker, FdMode::kBoth), (Fds{{10, 1}}));
}

TEST(FdTracker, DuplicatesFromArgumentsWhereNothingElseTells) {
  EventScript script = pipe_owner();
  script.call(1, 2, 10, 10, "dup", {3}, 5)
      .call(3, 4, 10, 10, "dup2", {3, 6}, 6)
      .call(5, 6, 10, 10, "dup3", {3, 7, O_CLOEXEC}, 7)
      .call(7, 8, 10, 10, "fcntl", {3, F_DUPFD, 8}, 8)
      .call(9, 10, 10, 10, "fcntl", {3, 1030, 9}, 9)
      .call(11, 12, 10, 10, "dup2", {99, 4}, 4);  // from one never seen: 4 is not what it was
  EXPECT_EQ(holders(after(script), FdMode::kRead),
            (Fds{{10, 3}, {10, 5}, {10, 6}, {10, 7}, {10, 8}, {10, 9}}));
  EXPECT_EQ(holders(after(script), FdMode::kWrite), Fds{});
  script.add(20, 10, 10, Exec{Tid{}, "/bin/true", {}, {}});
  EXPECT_EQ(holders(after(script), FdMode::kRead), (Fds{{10, 3}, {10, 5}, {10, 6}, {10, 8}}));
}

TEST(FdTracker, FailedCallsChangeNothingButClose) {
  const FdTracker tracker = after(pipe_owner()
                                      .call(1, 2, 10, 10, "dup2", {3, 4}, -EBUSY)
                                      .call(3, 4, 10, 10, "close", {3}, -EINTR));
  EXPECT_EQ(holders(tracker, FdMode::kBoth), (Fds{{10, 4}}));
}

TEST(FdTracker, CloseRange) {
  EventScript script = pipe_owner();
  EXPECT_EQ(holders(after(EventScript{script}.call(1, 2, 10, 10, "close_range", {4, ~0U, 0}, 0)),
                    FdMode::kBoth),
            (Fds{{10, 3}}));
  script.call(1, 2, 10, 10, "close_range", {3, ~0U, CLOSE_RANGE_CLOEXEC}, 0);
  EXPECT_EQ(holders(after(script), FdMode::kBoth), (Fds{{10, 3}, {10, 4}}));
  script.add(3, 10, 10, Exec{Tid{}, "/bin/true", {}, {}});
  EXPECT_EQ(holders(after(script), FdMode::kBoth), Fds{});
}

TEST(FdTracker, FlagsFollowFcntl) {
  const FdTracker tracker = after(pipe_owner()
                                      .call(1, 2, 10, 10, "fcntl", {4, F_SETFD, 0}, 0)
                                      .call(3, 4, 10, 10, "fcntl", {4, F_SETFL, O_NONBLOCK}, 0));
  EXPECT_FALSE(tracker.find(Pid{10}, 4)->close_on_exec);
  EXPECT_TRUE(tracker.find(Pid{10}, 4)->nonblocking);
}

TEST(FdTracker, NumberTakenByAnUndescribedFdIsNoLongerTheOldThing) {
  const FdTracker tracker = after(pipe_owner().call(1, 2, 10, 10, "openat", {0, 0, 0}, 3));
  EXPECT_EQ(tracker.find(Pid{10}, 3), nullptr);
}

TEST(FdTracker, TableLivesUntilTheLastThread) {
  EventScript script = pipe_owner();
  script.made(1, 10, 10, 11, NewTaskKind::kThread, true).add(2, 10, 10, TaskExit{});
  EXPECT_EQ(holders(after(script), FdMode::kRead), (Fds{{10, 3}}));
  script.add(3, 10, 11, TaskExit{});
  EXPECT_EQ(holders(after(script), FdMode::kRead), Fds{});
}

TEST(FdTracker, ReusedPidDoesNotInheritTheDead) {
  const FdTracker tracker = after(pipe_owner()
                                      .made(1, 10, 10, 20, NewTaskKind::kFork)
                                      .call(2, 3, 10, 10, "close", {3}, 0)
                                      .made(4, 10, 10, 20, NewTaskKind::kFork));
  EXPECT_EQ(holders(tracker, FdMode::kRead), Fds{});
}

TEST(FdTracker, OutputIsOneTwoTheirCopiesAndTerminals) {
  const FdTracker tracker = after(EventScript{}.seen(
      0, 10, 10,
      with_fds({fd_entry(1, ResourceKind::kRegularFile, 5, FdMode::kWrite, "/tmp/log"),
                fd_entry(7, ResourceKind::kRegularFile, 5, FdMode::kWrite, "/tmp/log"),
                fd_entry(8, ResourceKind::kTty, 6, FdMode::kBoth, "/dev/pts/0"), read_end(3)})));
  EXPECT_TRUE(tracker.is_output(Pid{10}, 1));
  EXPECT_TRUE(tracker.is_output(Pid{10}, 2));
  EXPECT_TRUE(tracker.is_output(Pid{10}, 7));
  EXPECT_TRUE(tracker.is_output(Pid{10}, 8));
  EXPECT_FALSE(tracker.is_output(Pid{10}, 3));
  EXPECT_FALSE(tracker.is_output(Pid{10}, 99));
}

}  // namespace
}  // namespace stucktrace::model
