#include "tracer/diagnose/phases.h"

#include <gtest/gtest.h>

#include "tests/support/snapshot_builder.h"

namespace stucktrace::diagnose {
namespace {

using test::SnapshotBuilder;

std::optional<ExitPhase> phase_of(SnapshotBuilder& tree) {
  return exit_phase(tree.samples().now.processes.at(0));
}

TEST(ExitPhase, PythonInterpreterExit) {
  SnapshotBuilder tree;
  tree.process(20, "python3");
  tree.thread(20)
      .python("_wait_for_tstate_lock", "/usr/lib/python3.11/threading.py", 1116)
      .python("join", "/usr/lib/python3.11/threading.py", 1096)
      .python("_finalize_join", "/usr/lib/python3.11/multiprocessing/queues.py", 199)
      .python("_exit_function", "/usr/lib/python3.11/multiprocessing/util.py", 357);
  const auto phase = phase_of(tree);
  ASSERT_TRUE(phase);
  EXPECT_EQ(phase->frame, "_exit_function (multiprocessing/util.py)");
  EXPECT_EQ(phase->tid, base::Tid{20});
}

TEST(ExitPhase, ExplicitJoinThreadIsNoExit) {
  SnapshotBuilder tree;
  tree.process(20, "python3");
  tree.thread(20)
      .python("_finalize_join", "/usr/lib/python3.11/multiprocessing/queues.py")
      .python("join_thread", "/usr/lib/python3.11/multiprocessing/queues.py")
      .python("main", "/srv/app.py");
  EXPECT_FALSE(phase_of(tree));
}

TEST(ExitPhase, TheSameNameInAnotherFileIsNothing) {
  SnapshotBuilder tree;
  tree.process(20, "python3");
  tree.thread(20)
      .python("_exit_function", "/srv/my_multiprocessing/util.py")
      .python("_shutdown", "/srv/notthreading.py");
  EXPECT_FALSE(phase_of(tree));
}

TEST(ExitPhase, NativeExitButNotDlclose) {
  SnapshotBuilder tree;
  tree.process(20, "app");
  tree.thread(20)
      .native("write")
      .native("_IO_cleanup")
      .native("__run_exit_handlers")
      .native("exit");
  ASSERT_TRUE(phase_of(tree));
  EXPECT_EQ(phase_of(tree)->frame, "exit (libc.so.6)");
  SnapshotBuilder unloading;
  unloading.process(20, "app");
  unloading.thread(20).native("pthread_join").native("__cxa_finalize").native("dlclose");
  EXPECT_FALSE(phase_of(unloading));
}

TEST(FrameWait, AnOuterJoinTellsMoreThanTheLockItIsMadeOf) {
  SnapshotBuilder tree;
  tree.process(20, "python2.7");
  tree.thread(20)
      .python("wait", "/usr/lib/python2.7/threading.py", 340)
      .python("join", "/usr/lib/python2.7/threading.py", 940);
  EXPECT_EQ(frame_wait(tree.thread(20).get()), FrameWait::kThreadJoin);
}

TEST(FrameWait, ChildWaitsFeedersAndNothing) {
  SnapshotBuilder tree;
  tree.process(20, "python3").thread(21).thread(22).thread(23);
  tree.thread(20).python("poll", "/usr/lib/python2.7/multiprocessing/forking.py");
  tree.thread(21)
      .python("_send", "/usr/lib/python3.11/multiprocessing/connection.py")
      .python("_feed", "/usr/lib/python3.11/multiprocessing/queues.py");
  tree.thread(22).python("get", "/usr/lib/python3.11/queue.py");
  EXPECT_EQ(frame_wait(tree.thread(20).get()), FrameWait::kChildWait);
  EXPECT_EQ(frame_wait(tree.thread(21).get()), FrameWait::kQueueFeeder);
  EXPECT_EQ(frame_wait(tree.thread(22).get()), FrameWait::kNothingKnown);
  EXPECT_EQ(frame_wait(tree.thread(23).get()), FrameWait::kNothingKnown);
}

TEST(TellingFrames, PythonBeforeNativeAndAtMostThree) {
  SnapshotBuilder tree;
  tree.process(20, "python3");
  tree.thread(20)
      .native("write")
      .python("_send", "/usr/lib/python3.11/multiprocessing/connection.py", 384)
      .python("_send_bytes", "/usr/lib/python3.11/multiprocessing/connection.py", 404)
      .python("send_bytes", "/usr/lib/python3.11/multiprocessing/connection.py", 200)
      .python("_feed", "/usr/lib/python3.11/multiprocessing/queues.py", 251);
  const auto frames = telling_frames(tree.thread(20).get());
  ASSERT_EQ(frames.size(), 3U);
  EXPECT_EQ(frames[0], "_send (multiprocessing/connection.py:384)");
}

TEST(TellingFrames, ShowTheProgramsOwnLineAndTheWordForTheWait) {
  SnapshotBuilder tree;
  tree.process(20, "python3");
  tree.thread(20)
      .python("select", "/usr/lib/python3.11/selectors.py", 415)
      .python("wait", "/usr/lib/python3.11/multiprocessing/connection.py", 930)
      .python("wait", "/usr/lib/python3.11/multiprocessing/popen_fork.py", 40)
      .python("join", "/usr/lib/python3.11/multiprocessing/process.py", 149)
      .python("main", "/srv/job.py", 12)
      .python("<module>", "/srv/job.py", 30);
  EXPECT_EQ(
      telling_frames(tree.samples().now.processes.at(0).threads.at(0)),
      (std::vector<std::string>{"select (python3.11/selectors.py:415)",
                                "join (multiprocessing/process.py:149)", "main (srv/job.py:12)"}));
}

TEST(TellingFrames, ShowTheExitInsteadOfWhatForkedTheProcess) {
  SnapshotBuilder tree;
  tree.process(20, "python3");
  tree.thread(20)
      .python("_wait_for_tstate_lock", "/usr/lib/python3.11/threading.py", 1116)
      .python("join", "/usr/lib/python3.11/threading.py", 1096)
      .python("_finalize_join", "/usr/lib/python3.11/multiprocessing/queues.py", 199)
      .python("_exit_function", "/usr/lib/python3.11/multiprocessing/util.py", 357)
      .python("_bootstrap", "/usr/lib/python3.11/multiprocessing/process.py", 300)
      .python("main", "/srv/job.py", 12);
  EXPECT_EQ(telling_frames(tree.samples().now.processes.at(0).threads.at(0)),
            (std::vector<std::string>{"_wait_for_tstate_lock (python3.11/threading.py:1116)",
                                      "join (python3.11/threading.py:1096)",
                                      "_exit_function (multiprocessing/util.py:357)"}));
}

}  // namespace
}  // namespace stucktrace::diagnose
