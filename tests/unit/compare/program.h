#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/event_script.h"
#include "tests/unit/compare/run_of_events.h"
#include "tracer/compare/canonical.h"
#include "tracer/compare/diff.h"
#include "tracer/model/event.h"

namespace stucktrace::compare {

// What may differ between two runs of one program.
struct RunOf {
  int first_pid = 1000;
  std::uint64_t first_inode = 25'000;
  std::uint64_t buffer = 0x7f12'0000'1000;
  double slowness = 1;  // stretches time: other interleavings
  int poll_turns = 2;   // of the loop that looks for the child's end
  std::vector<int> reads = {100, 100};
  bool signals_interrupt = false;
  std::string temporary = "/tmp/tmpk3j2h1";
};

// What makes it another program.
struct Program {
  int exit_code = 0;
  bool reads_pipe = true;
  bool waits_for_child = true;
  bool connects = false;
  bool runs_more = false;
  bool joins_first = false;  // waits for the child, then reads
  std::string says = "All done! Goodbye!\n";
};

// The events of a parent that makes a pipe, a thread and a child; the child runs a program with its
// output in the pipe; the parent reads that and looks for the child's end.
inline std::vector<model::Event> events_of(const RunOf& run, const Program& program = {}) {
  using model::FdMode;
  using model::ResourceKind;
  using test::fd_entry;
  constexpr std::int64_t kInterrupted = -4;  // EINTR
  constexpr std::uint64_t kCreate = 0x241;   // O_WRONLY|O_CREAT|O_TRUNC
  constexpr std::uint64_t kAtCwd = 0xffffff9c;
  test::EventScript script;
  const int p = run.first_pid;
  const int thread = p + 1;
  const int child = p + 2;
  const auto child_number = static_cast<std::uint64_t>(child);
  double parent_time = 0;
  const auto next = [&] { return parent_time += 10; };

  model::TaskSeen seen;
  seen.fds = {fd_entry(0, ResourceKind::kTty, 3, FdMode::kBoth, "/dev/pts/1"),
              fd_entry(1, ResourceKind::kTty, 3, FdMode::kBoth, "/dev/pts/1"),
              fd_entry(2, ResourceKind::kTty, 3, FdMode::kBoth, "/dev/pts/1")};
  script.seen(0, p, p, seen);
  script.add(next(), p, p, model::Exec{{}, "/usr/bin/app", {"app", run.temporary + "/in"}, {}});
  const auto call = [&](int tid, double at, std::string_view name,
                        std::initializer_list<std::uint64_t> args, std::int64_t result,
                        const test::Memory& memory = {}, std::vector<model::FdEntry> made = {}) {
    script.call(at, at + 1, tid == thread ? p : tid, tid, name, args, result, memory,
                std::move(made));
  };
  const auto make_pipe = [&](double at, int read_end) {
    const auto inode = run.first_inode + static_cast<std::uint64_t>(read_end);
    call(p, at, "pipe2", {run.buffer, 0}, 0, {},
         {fd_entry(read_end, ResourceKind::kPipe, inode, FdMode::kRead),
          fd_entry(read_end + 1, ResourceKind::kPipe, inode, FdMode::kWrite)});
  };
  make_pipe(next(), 3);
  script.made(next(), p, p, thread, model::NewTaskKind::kThread, true);
  script.seen(parent_time + 1, p, thread, {base::Pid{p}, 0, "worker", "", {}, {}, false});
  script.made(next(), p, p, child, model::NewTaskKind::kFork);

  // The thread, at its own pace.
  const double thread_time = 40 + 7 * run.slowness;
  call(thread, thread_time, "futex", {run.buffer, 128, 0}, -11);
  call(thread, thread_time + 2, "openat", {kAtCwd, run.buffer, kCreate, 0600}, 9,
       {{run.buffer, run.temporary + std::string{'\0'}}},
       {fd_entry(9, ResourceKind::kRegularFile, 777, FdMode::kWrite, run.temporary)});

  // The child, at its own pace.
  double child_time = 50 + 11 * run.slowness;
  const auto child_next = [&] { return child_time += 5 * run.slowness; };
  model::TaskSeen child_seen;
  child_seen.parent = base::Pid{p};
  script.seen(child_time, child, child, child_seen);
  call(child, child_next(), "dup2", {4, 1}, 1);
  script.add(child_next(), child, child, model::Exec{{}, "/bin/tool", {"tool", "-v"}, {}});
  if (program.runs_more) {
    script.add(child_next(), child, child, model::Exec{{}, "/bin/more", {"more"}, {}});
  }
  for (const char part : program.says) {  // in pieces of one byte: they are joined
    call(child, child_next(), "write", {1, run.buffer, 1}, 1, {{run.buffer, std::string{part}}});
  }
  script.add(child_next(), child, child, model::TaskExit{false, program.exit_code, false});

  // The parent again.
  const auto read_all = [&] {
    if (!program.reads_pipe) return;
    for (const int size : run.reads) {
      if (run.signals_interrupt) {
        call(p, next(), "read", {3, run.buffer, 200}, kInterrupted);
        script.add(next(), p, p, model::SignalStop{17, 1, base::Pid{child}, 0});
      }
      call(p, next(), "read", {3, run.buffer, 200}, size);
    }
    call(p, next(), "read", {3, run.buffer, 200}, 0);
  };
  const auto look_for_child = [&] {
    if (!program.waits_for_child) return;
    for (int turn = 0; turn < run.poll_turns; ++turn) {
      call(p, next(), "wait4", {child_number, run.buffer, 1, 0}, 0);
      call(p, next(), "select", {0, 0, 0, 0, run.buffer}, 0);
    }
    parent_time = std::max(parent_time, child_time);
    call(p, next(), "wait4", {child_number, run.buffer, 1, 0}, child);
  };
  if (program.joins_first) look_for_child();
  read_all();
  if (!program.joins_first) look_for_child();
  if (program.connects) {
    const std::string address{"\x02\0\0\x50\x7f\0\0\x01\0\0\0\0\0\0\0\0", 16};
    call(p, next(), "connect", {5, run.buffer, 16}, 0, {{run.buffer, address}});
  }
  const std::string text = fmt::format("child {} at 0x{:x} took {} ms\n", child, run.buffer,
                                       static_cast<int>(100 * run.slowness));
  call(p, next(), "write", {1, run.buffer, text.size()}, static_cast<std::int64_t>(text.size()),
       {{run.buffer, text}});
  call(p, next(), "unlink", {run.buffer}, 0, {{run.buffer, run.temporary + std::string{'\0'}}});
  parent_time = std::max({parent_time, child_time, thread_time});
  script.add(next(), p, p, model::TaskExit{false, 0, false});
  script.add(parent_time, p, thread, model::TaskExit{false, 0, false});
  return script.events();
}

inline CanonicalTrace canonical(const RunOf& run, const Program& program = {},
                                Level level = Level::kCalls) {
  return canonical(events_of(run, program), {},
                   {.normalise = {}, .level = level, .seen = Seen::kAll})
      .trace;
}

// As a file shows it, without header.
inline std::string to_text(const CanonicalTrace& trace) {
  std::string text;
  for (const auto& section : trace.sections) {
    text += (text.empty() ? "" : "\n") + section.heading() + "\n";
    for (const std::string& line : section.lines) text += "  " + line + "\n";
  }
  return text;
}

}  // namespace stucktrace::compare
