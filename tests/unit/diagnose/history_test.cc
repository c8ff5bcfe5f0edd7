#include "tracer/diagnose/history.h"

#include "tests/support/event_script.h"
#include "tests/unit/diagnose/fixtures.h"

namespace stucktrace::diagnose {
namespace {

using base::Pid;
using base::Tid;
using model::ResourceKind;
using test::EventScript;
using testing::HasSubstr;

History history_of(const EventScript& script) {
  History history;
  for (const model::Event& event : script.events()) history.observe(event);
  return history;
}

EventScript started(int pid = 20) {
  model::TaskSeen seen;
  seen.parent = Pid{10};
  seen.comm = "python3";
  seen.fds = {test::fd_entry(0, ResourceKind::kTty, 3, FdMode::kBoth),
              test::fd_entry(1, ResourceKind::kTty, 3, FdMode::kBoth),
              test::fd_entry(2, ResourceKind::kTty, 3, FdMode::kBoth),
              test::fd_entry(3, ResourceKind::kPipe, 7, FdMode::kRead),
              test::fd_entry(4, ResourceKind::kPipe, 8, FdMode::kWrite),
              test::fd_entry(5, ResourceKind::kRegularFile, 9, FdMode::kRead)};
  EventScript script;
  script.seen(0, pid, pid, seen);
  return script;
}

void says(EventScript& script, double ms, const std::string& text, std::uint64_t fd = 1,
          int tid = 20) {
  script.call(ms, ms + 0.1, 20, tid, "write", {fd, 0x5000, text.size()},
              static_cast<std::int64_t>(text.size()), {{0x5000, text}});
}

TEST(History, HearsAnAnnouncementOnStdout) {
  EventScript script = started();
  says(script, 1, "working\n");
  says(script, 2, "All done! Goodbye!\n");
  const auto announced = history_of(script).announcement(Pid{20});
  ASSERT_TRUE(announced);
  EXPECT_EQ(announced->text, "All done! Goodbye!");
  EXPECT_EQ(announced->fd, 1);
  EXPECT_EQ(announced->evidence, "written to stdout (fd 1)");
  EXPECT_FALSE(history_of(script).announcement(Pid{10}));
}

TEST(History, OtherDescriptorsAreNoOutput) {
  EventScript script = started();
  says(script, 1, "done\n", 4);
  EXPECT_FALSE(history_of(script).announcement(Pid{20}));
}

TEST(History, NewChildrenInputAndExecRetract) {
  EventScript fork = started();
  says(fork, 1, "done\n");
  EventScript thread = fork;
  EventScript input = fork;
  EventScript file = fork;
  EventScript exec = fork;
  fork.made(2, 20, 20, 30, model::NewTaskKind::kFork);
  EXPECT_FALSE(history_of(fork).announcement(Pid{20}));
  thread.made(2, 20, 20, 21, model::NewTaskKind::kThread, true);
  EXPECT_TRUE(history_of(thread).announcement(Pid{20})) << "a thread is no new work by itself";
  input.call(2, 3, 20, 20, "read", {3, 0x6000, 100}, 5);
  EXPECT_FALSE(history_of(input).announcement(Pid{20}));
  file.call(2, 3, 20, 20, "read", {5, 0x6000, 100}, 5);
  EXPECT_TRUE(history_of(file).announcement(Pid{20})) << "an interpreter still reads its modules";
  exec.add(2, 20, 20, model::Exec{});
  EXPECT_FALSE(history_of(exec).announcement(Pid{20}));
}

TEST(History, EndOfFileAndFailedReadsAreNoWork) {
  EventScript script = started();
  says(script, 1, "done\n");
  script.call(2, 3, 20, 20, "read", {3, 0x6000, 100}, 0);
  script.call(4, 5, 20, 20, "read", {3, 0x6000, 100}, -11);
  EXPECT_TRUE(history_of(script).announcement(Pid{20}));
}

TEST(History, OutputThatWasNotCapturedInFullRetracts) {
  EventScript script = started();
  says(script, 1, "done\n");
  script.call(2, 2.1, 20, 20, "write", {1, 0x5000, 100}, 100, {{0x5000, "done\n"}});
  EXPECT_FALSE(history_of(script).announcement(Pid{20}));
}

TEST(History, KnowsWhenAnOpenCallBegan) {
  EventScript script = started();
  script.enter(7, 20, 20, "read", {3, 0x6000, 100});
  EXPECT_EQ(history_of(script).call_start(Tid{20}), EventScript::at_ms(7));
  EXPECT_FALSE(history_of(script).call_start(Tid{21}));
}

// The birth case on Python 2, under the tracer: P's loop is seen call by call.
TEST(History, APollingLoopTellsWhichChildIsWaitedFor) {
  EventScript script;
  model::TaskSeen seen;
  seen.comm = "python2";
  script.seen(0, 4711, 4711, seen);
  constexpr std::uint64_t kNoHang = 1;
  struct timeval nap{0, 50'000};
  for (int turn = 0; turn < 20; ++turn) {
    const double at = 1 + turn * 51.0;
    script.call(at, at + 0.1, 4711, 4711, "wait4", {4712, 0x1000, kNoHang, 0}, 0);
    script.call(at + 0.2, at + 50.2, 4711, 4711, "select", {0, 0, 0, 0, 0x2000}, 0,
                {{0x2000, test::bytes_of(nap)}});
  }
  const History history = history_of(script);
  ASSERT_TRUE(history.loop(Tid{4711}));

  SnapshotBuilder tree = birth_case_without_waits();
  tree.thread(4711).polls({}).timeout(50ms).moved(4);
  const auto [before, now] = tree.samples();
  const model::Diagnosis diagnosis = diagnose(before, now, &history, {});
  ASSERT_EQ(rules_of(diagnosis), "pipe-full/until");
  EXPECT_THAT(all_text(diagnosis.findings[0]), HasSubstr("wait4(4712, WNOHANG)"));
  EXPECT_THAT(all_text(diagnosis.findings[0]), HasSubstr("seen in its calls"));
}

TEST(History, AnAnnouncementIntoTheFullPipeItselfIsNone) {
  SnapshotBuilder tree;
  tree.process(10, "python3").pipe(7, 3, FdMode::kRead);
  tree.process(20, "job").child_of(10).pipe(7, 1, FdMode::kWrite);
  tree.full_pipe(7);
  tree.thread(10).waits_for_child(20);
  tree.thread(20).writes_pipe(7, 1);
  EventScript script = started();
  says(script, 1, "done\n");
  const History history = history_of(script);
  ASSERT_TRUE(history.announcement(Pid{20}));
  const auto [before, now] = tree.samples();
  EXPECT_EQ(rules_of(diagnose(before, now, &history, {})), "unread-output/proven");
}

TEST(History, TheHeadlineQuotesWhatWasSaid) {
  EventScript script = started(4712);
  script.call(1, 1.1, 4712, 4712, "write", {1, 0x5000, 19}, 19, {{0x5000, "All done! Goodbye!\n"}});
  const History history = history_of(script);
  const auto [before, now] = birth_case().samples();
  const model::Diagnosis diagnosis = diagnose(before, now, &history, {});
  ASSERT_EQ(rules_of(diagnosis), "pipe-full-after-announce/until");
  EXPECT_THAT(diagnosis.findings[0].headline, HasSubstr("said \"All done! Goodbye!\" but cannot"));
  EXPECT_EQ(diagnosis.findings[0].announced->at, EventScript::at_ms(1.1));
}

}  // namespace
}  // namespace stucktrace::diagnose
