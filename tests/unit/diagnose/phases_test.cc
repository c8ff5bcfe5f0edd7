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
  tree.process(30, "python3");
  tree.thread(30).python("_shutdown", "/usr/lib/python3.11/threading.py", 1590);
  EXPECT_EQ(frame_wait(tree.thread(30).get()), FrameWait::kThreadJoin);
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

std::vector<std::string> told_of(std::initializer_list<const char*> functions) {
  SnapshotBuilder tree;
  tree.process(20, "app");
  auto thread = tree.thread(20);
  for (const char* function : functions) thread.native(function);
  std::vector<std::string> names;
  for (const std::string& frame : telling_frames(thread.get())) {
    names.push_back(frame.substr(0, frame.find(' ')));
  }
  return names;
}

TEST(TellingFrames, LeaveOutWhatTheLibraryIsMadeOfInside) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(told_of({"__futex_abstimed_wait_common", "__lll_lock_wait", "pthread_mutex_lock",
                     "take", "serve", "main"}),
            (Names{"pthread_mutex_lock", "take", "serve"}));
  EXPECT_EQ(told_of({"sccp", "read", "main", "_start"}), (Names{"read", "main"}));
  EXPECT_EQ(told_of({"", "poll", "_own", "main"}), (Names{"poll", "_own", "main"}));
  EXPECT_EQ(told_of({"__restore_rt", "_inner"}), (Names{"__restore_rt", "_inner"}));
}

FutexUse use_of(std::initializer_list<const char*> functions) {
  SnapshotBuilder tree;
  tree.process(20, "app");
  auto thread = tree.thread(20).waits_on_condition();
  for (const char* function : functions) thread.native(function);
  return futex_use(thread.get());
}

TEST(FutexUse, OfTheCLibrarysFunctions) {
  EXPECT_EQ(use_of({"__lll_lock_wait", "pthread_mutex_lock@@GLIBC_2.2.5", "work"}),
            FutexUse::kMutex);
  EXPECT_EQ(use_of({"futex_wait", "__GI___pthread_mutex_lock", "work"}), FutexUse::kMutex);
  EXPECT_EQ(use_of({"__futex_abstimed_wait_common64", "__pthread_cond_wait_common",
                    "___pthread_cond_wait", "work"}),
            FutexUse::kCondition);
  EXPECT_EQ(use_of({"__futex_abstimed_wait_common", "pthread_cond_clockwait"}),
            FutexUse::kCondition);
  EXPECT_EQ(use_of({"do_futex_wait.constprop.0", "__new_sem_wait_slow64.constprop.0"}),
            FutexUse::kSemaphore);
  EXPECT_EQ(use_of({"__timedwait_cp", "sem_timedwait"}), FutexUse::kSemaphore);
  EXPECT_EQ(use_of({"futex_wait", "___pthread_barrier_wait"}), FutexUse::kBarrier);
  EXPECT_EQ(use_of({"futex_wait", "__pthread_once_slow.isra.0"}), FutexUse::kOnce);
  EXPECT_EQ(use_of({"syscall", "std::call_once<void (&)()>(std::once_flag&, void (&)())"}),
            FutexUse::kOnce);
  EXPECT_EQ(use_of({"futex_abstimed", "__pthread_rwlock_wrlock_full64"}), FutexUse::kRwlock);
  EXPECT_EQ(use_of({"__futex_abstimed_wait_common", "__pthread_clockjoin_ex", "main"}),
            FutexUse::kJoin);
  EXPECT_EQ(use_of({"syscall", "my_pthread_mutex_lock", "main"}), FutexUse::kNothingKnown);
  EXPECT_EQ(use_of({}), FutexUse::kNothingKnown);
}

TEST(FutexUse, TheInnermostWaitCounts) {
  EXPECT_EQ(use_of({"__lll_lock_wait", "pthread_mutex_lock", "__pthread_cond_wait_common",
                    "pthread_cond_wait"}),
            FutexUse::kMutex);
  EXPECT_EQ(use_of({"futex_wait", "pthread_cond_wait", "setup", "__pthread_once_slow"}),
            FutexUse::kCondition);
}

TEST(FutexUse, OfRustsLibrary) {
  EXPECT_EQ(
      use_of({"syscall", "_RNvMNtNtNtNtCsj_3std3sys4sync5mutex5futexNtB2_5Mutex14lock_contended",
              "std::sync::poison::mutex::Mutex$LT$T$GT$::lock::h8c6cc63ac5e10965"}),
      FutexUse::kMutex);
  EXPECT_EQ(use_of({"syscall", "std::sync::condvar::Condvar::wait::ha374dc322e1ad61b"}),
            FutexUse::kCondition);
}

TEST(FutexUse, OnlyOfOneFutex) {
  SnapshotBuilder tree;
  tree.process(20, "app");
  EXPECT_EQ(futex_use(tree.thread(20).reads_pipe(7, 3).native("pthread_mutex_lock").get()),
            FutexUse::kNothingKnown);
}

TEST(FutexUse, WhatMemoryProvesGoesFirst) {
  SnapshotBuilder tree;
  tree.process(20, "app").thread(21);
  EXPECT_EQ(futex_use(tree.thread(20).waits_for_lock(0x10, 21).get()), FutexUse::kMutex);
  EXPECT_EQ(futex_use(tree.thread(21).joins(20).native("pthread_cond_wait").get()),
            FutexUse::kJoin);
}

// A thread of Python 3.11 whose C frames end with `function` of the interpreter's.
FutexUse python_use(const char* function, const char* python_function, const char* file,
                    model::OnFutex::Role role = model::OnFutex::Role::kUnknown) {
  SnapshotBuilder tree;
  tree.process(20, "python3");
  auto thread = tree.thread(20).waits_on_condition();
  thread.native("__new_sem_wait_slow64.constprop.0").native("PyThread_acquire_lock_timed");
  thread.native(function, "python3.11");
  thread.native("_PyEval_EvalFrameDefault", "python3.11");
  // Whatever ran the interpreter tells nothing of this wait.
  thread.native("lock_PyThread_acquire_lock").native("take_gil");
  if (python_function != nullptr) thread.python(python_function, file);
  std::get<model::OnFutex>(thread.get().wait.on.front()).role = role;
  return futex_use(thread.get());
}

TEST(FutexUse, OfPythonsLocks) {
  constexpr const char* kOwn = "/srv/app.py";
  constexpr const char* kThreading = "/usr/lib/python3.11/threading.py";
  EXPECT_EQ(python_use("lock_PyThread_acquire_lock", "work", kOwn), FutexUse::kPythonLock);
  EXPECT_EQ(python_use("rlock_acquire", "work", kOwn), FutexUse::kPythonLock);
  EXPECT_EQ(python_use("lock_PyThread_acquire_lock", "__enter__", kThreading),
            FutexUse::kPythonLock);
  EXPECT_EQ(python_use("lock_PyThread_acquire_lock", "wait", kThreading), FutexUse::kCondition);
  EXPECT_EQ(python_use("rlock_acquire_restore", "wait", kThreading), FutexUse::kPythonLock);
  EXPECT_EQ(python_use("lock_PyThread_acquire_lock", "_wait_for_tstate_lock", kThreading),
            FutexUse::kJoin);
  EXPECT_EQ(python_use("ThreadHandle_join", "join", kThreading), FutexUse::kJoin);
  EXPECT_EQ(python_use("simplequeue_get", "work", kOwn), FutexUse::kCondition);
  EXPECT_EQ(python_use("_queue_SimpleQueue_get_impl", "_worker",
                       "/usr/lib/python3.11/concurrent/futures/thread.py"),
            FutexUse::kCondition);
  EXPECT_EQ(python_use("PyEval_RestoreThread", "work", kOwn), FutexUse::kPythonGil);
  EXPECT_EQ(python_use("take_gil", "wait", kThreading), FutexUse::kPythonGil);
  EXPECT_EQ(python_use("semlock_acquire", "put", "/usr/lib/python3.11/multiprocessing/queues.py"),
            FutexUse::kSemaphore);
}

TEST(FutexUse, OfAStrippedInterpretersLocks) {
  // An idle worker in a queue written in C looks the same but for the lock object.
  EXPECT_EQ(python_use("", "work", "/srv/app.py"), FutexUse::kNothingKnown);
  EXPECT_EQ(python_use("", "work", "/srv/app.py", model::OnFutex::Role::kRuntimeLock),
            FutexUse::kPythonLock);
  EXPECT_EQ(python_use("", "wait", "/usr/lib/python3.11/threading.py"), FutexUse::kCondition);
  EXPECT_EQ(python_use("", "get", "/usr/lib/python3.11/queue.py"), FutexUse::kCondition);
  EXPECT_EQ(python_use("", nullptr, nullptr), FutexUse::kNothingKnown);
}

TEST(OwnerEvidence, SaysWhereTheOwnerIsFrom) {
  SnapshotBuilder tree;
  tree.process(20, "app").thread(21);
  auto on =
      std::get<model::OnFutex>(tree.thread(20).waits_for_lock(0x10, 21).get().wait.on.front());
  EXPECT_EQ(owner_evidence(on), "the owner word of futex:1:0x10 names thread 21");
  on.role = model::OnFutex::Role::kRuntimeLock;
  EXPECT_EQ(owner_evidence(on),
            "the interpreter's frames and lock object of futex:1:0x10 name thread 21");
}

ResultWait result_of(const char* function, const char* file, int depth = 1) {
  SnapshotBuilder tree;
  tree.process(20, "python3");
  auto thread = tree.thread(20);
  for (int i = 0; i < depth; ++i) thread.python("wait", "/usr/lib/python3.11/threading.py");
  return waits_for_result(thread.python(function, file).python("main", "/srv/app.py").get());
}

TEST(WaitsForResult, OfFuturesPoolsAndLoops) {
  const char* futures = "/usr/lib/python3.11/concurrent/futures/_base.py";
  EXPECT_EQ(result_of("result", futures), ResultWait::kFuture);
  EXPECT_EQ(result_of("as_completed", futures), ResultWait::kFuture);
  EXPECT_EQ(result_of("get", "/usr/lib/python3.11/multiprocessing/pool.py"),
            ResultWait::kPoolResult);
  EXPECT_EQ(result_of("run_until_complete", "/usr/lib/python3.11/asyncio/base_events.py"),
            ResultWait::kEventLoop);
  EXPECT_EQ(result_of("get", "/usr/lib/python3.11/queue.py"), ResultWait::kNone);
  EXPECT_EQ(result_of("result", "/srv/app.py"), ResultWait::kNone);
  EXPECT_EQ(result_of("result", futures, 20), ResultWait::kNone);
}

}  // namespace
}  // namespace stucktrace::diagnose
