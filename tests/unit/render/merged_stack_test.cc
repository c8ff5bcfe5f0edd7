#include "tracer/render/merged_stack.h"

#include <gmock/gmock.h>

#include "tracer/render/text_report.h"

namespace stucktrace::render {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

model::NativeFrame native(std::string function, std::string module) {
  model::NativeFrame frame;
  frame.function = std::move(function);
  frame.module = std::move(module);
  return frame;
}

// A lock taken in a callback that C code calls: Python, C, Python, C, the kernel.
model::Thread callback() {
  model::Thread thread;
  thread.stack = {native("sem_wait", "libc.so.6"),
                  native("PyThread_acquire_lock_timed", "python3.11"),
                  native("_PyEval_EvalFrameDefault", "python3.11"),
                  native("list_sort", "python3.11"),
                  native("ffi_call", "libffi.so.8"),
                  native("_PyEval_EvalFrameDefault", "python3.11"),
                  native("Py_RunMain", "python3.11"),
                  native("__libc_start_main", "libc.so.6")};
  thread.python = {{"acquire", "/a.py", 1, false},
                   {"key", "/a.py", 2, true},
                   {"work", "/a.py", 3, false},
                   {"<module>", "/a.py", 4, true}};
  return thread;
}

TEST(MergedStack, PythonFramesStandForTheCFramesThatRunThem) {
  EXPECT_THAT(stack_lines(callback(), NativeFrames::kMerged),
              ElementsAre("at sem_wait (libc.so.6)", "py /a.py:1 acquire", "py /a.py:2 key",
                          "at ffi_call (libffi.so.8)", "py /a.py:3 work", "py /a.py:4 <module>"));
}

TEST(MergedStack, NativeShowsBoth) {
  EXPECT_THAT(stack_lines(callback(), NativeFrames::kAll),
              ElementsAre("at sem_wait (libc.so.6)", "at PyThread_acquire_lock_timed (python3.11)",
                          "py /a.py:1 acquire", "py /a.py:2 key",
                          "at _PyEval_EvalFrameDefault (python3.11)", "at list_sort (python3.11)",
                          "at ffi_call (libffi.so.8)", "py /a.py:3 work", "py /a.py:4 <module>",
                          "at _PyEval_EvalFrameDefault (python3.11)", "at Py_RunMain (python3.11)",
                          "at __libc_start_main (libc.so.6)"));
}

TEST(MergedStack, TwoStacksThatDoNotFitAreToldOneAfterTheOther) {
  model::Thread thread = callback();
  thread.python[1].entry = false;
  EXPECT_THAT(stack_lines(thread, NativeFrames::kMerged),
              ElementsAre("at sem_wait (libc.so.6)", "py /a.py:1 acquire", "py /a.py:2 key",
                          "py /a.py:3 work", "py /a.py:4 <module>"));
  EXPECT_THAT(stack_lines(thread, NativeFrames::kAll)[3], "py /a.py:4 <module>");
}

TEST(MergedStack, AStrippedInterpreterIsKnownByItsFile) {
  model::Thread thread = callback();
  for (model::NativeFrame& frame : thread.stack.edit()) frame.function.clear();
  const auto lines = stack_lines(thread, NativeFrames::kMerged);
  ASSERT_EQ(lines.size(), 5U);
  EXPECT_THAT(lines[0], HasSubstr("libc.so.6"));
  EXPECT_EQ(lines[1], "py /a.py:1 acquire");
}

TEST(MergedStack, WithoutPythonAllIsNative) {
  model::Thread thread = callback();
  thread.python.clear();
  EXPECT_EQ(stack_lines(thread, NativeFrames::kMerged).size(), 8U);
}

model::Report report_of(model::Interpreter interpreter) {
  auto snapshot = std::make_shared<model::Snapshot>();
  model::Process& process = snapshot->processes.emplace_back();
  process.pid = base::Pid{7};
  process.comm = "python3";
  process.role = "P1";
  process.state = 'S';
  for (const std::int32_t tid : {7, 8}) {
    model::Thread& thread = process.threads.emplace_back();
    thread.tid = base::Tid{tid};
    thread.state = 'S';
    thread.name = tid == 7 ? "MainThread" : "worker";
  }
  process.interpreter = std::move(interpreter);
  model::Report report;
  report.snapshot = snapshot;
  return report;
}

TEST(Interpreters, SayWhoHasTheLockAndWhatTasksAwait) {
  model::Interpreter interpreter;
  interpreter.version = "3.11.7";
  interpreter.finalizing = false;
  interpreter.gil_holder = base::Tid{8};
  const std::vector<model::PythonFrame> place{{"wait", "/lib/locks.py", 213, true},
                                              {"serve", "/app.py", 12, true}};
  for (const char* name : {"Task-2", "Task-3"}) {
    interpreter.tasks.push_back({name, "serve", place, "Future", base::Tid{7}, false});
  }
  interpreter.tasks.push_back(
      {"evil\x1b[31m", "main", {{"main", "/app.py", 20, true}}, "", {}, true});
  const std::string text = text_report(report_of(interpreter), {.stacks = true});
  EXPECT_THAT(text,
              HasSubstr("P1 python3 (7): CPython 3.11.7, thread 8 (worker) has the lock (GIL)"));
  EXPECT_THAT(text,
              HasSubstr("    2 tasks (Task-2, Task-3) serve: awaits Future (loop of main thread)\n"
                        "      py /lib/locks.py:213 wait\n"
                        "      py /app.py:12 serve\n"));
  EXPECT_THAT(text, HasSubstr("main: is running"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(text_report(report_of(interpreter), {}), Not(HasSubstr("Interpreters")));
}

TEST(Interpreters, SayWhereGreenletsAreSuspended) {
  model::Interpreter interpreter;
  interpreter.version = "3.14.2";
  interpreter.gil_holder = base::Tid{};
  constexpr auto kKind = model::PythonTask::Kind::kGreenlet;
  const std::vector<model::PythonFrame> place{{"take", "/app.py", 12, true}};
  for (int count = 0; count < 3; ++count) {
    interpreter.tasks.push_back({"Greenlet", "take", place, "", base::Tid{7}, false, kKind});
  }
  interpreter.tasks.push_back(
      {"greenlet", "main", {{"main", "/app.py", 20, true}}, "", base::Tid{7}, false, kKind});
  interpreter.tasks_left_out = 2;
  model::Report report = report_of(interpreter);
  const auto text = [&] { return text_report(report, {.stacks = true}); };
  EXPECT_THAT(text(), HasSubstr("\n    4 greenlets are suspended\n"
                                "    3 greenlets (Greenlet) take: suspended\n"
                                "      py /app.py:12 take\n"
                                "    greenlet (greenlet) main: suspended\n"
                                "      py /app.py:20 main\n"
                                "    2 more tasks or greenlets, not read or changing\n"));
  model::Snapshot with_hub = *report.snapshot;
  model::Thread& thread = with_hub.processes[0].threads[0];
  thread.python = {{"run", "/lib/gevent/hub.py", 647, true}};
  thread.wait.kind = model::WaitKind::kMultiplex;
  report.snapshot = std::make_shared<model::Snapshot>(with_hub);
  EXPECT_THAT(text(), HasSubstr("\n    the gevent hub of main thread waits; 4 greenlets are "
                                "suspended\n"));
  with_hub.processes[0].threads[0].wait.kind = model::WaitKind::kRunning;
  report.snapshot = std::make_shared<model::Snapshot>(with_hub);
  EXPECT_THAT(text(), HasSubstr("the gevent hub of main thread runs; 4 greenlets"));
}

TEST(Interpreters, AnUnknownVersionIsSaid) {
  model::Interpreter interpreter;
  interpreter.note = "CPython 3.99.0: layout not known; native frames only";
  EXPECT_THAT(text_report(report_of(interpreter), {.stacks = true}),
              HasSubstr("P1 python3 (7): CPython 3.99.0: layout not known; native frames only"));
}

TEST(Interpreters, WhatOfAVersionIsNotReadIsSaidBesideTheRest) {
  model::Interpreter interpreter;
  interpreter.version = "3.14.2";
  interpreter.gil_holder = base::Tid{8};
  interpreter.note = "of CPython 3.14 only frames are read";
  EXPECT_THAT(text_report(report_of(interpreter), {.stacks = true}),
              HasSubstr("P1 python3 (7): CPython 3.14.2, thread 8 (worker) has the lock (GIL); of "
                        "CPython 3.14 only"));
}

}  // namespace
}  // namespace stucktrace::render
