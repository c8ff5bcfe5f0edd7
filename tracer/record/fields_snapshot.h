#pragma once

#include "tracer/record/fields.h"

// The second half of the messages: what a Sample event carries.
namespace stucktrace::record {

template <>
struct Fields<model::OnFd> {
  static void visit(auto& archive, auto& on) {
    archive(1, on.fd);
    archive(2, on.resource);
    archive(3, on.direction);
  }
};

template <>
struct Fields<model::OnChildren> {
  static void visit(auto& archive, auto& on) {
    archive(1, on.which);
    archive(2, on.selector);
    archive(3, on.children);
    archive(4, on.reports_stops);
  }
};

template <>
struct Fields<model::OnFutex> {
  static void visit(auto& archive, auto& on) {
    archive(1, on.futex);
    archive(2, on.address);
    archive(3, on.is_private);
    archive.known(4, 5, on.word);
    archive(6, on.role);
    archive(7, on.owner);
    archive(8, on.owner_alive);
    archive(9, on.sharers);
  }
};

template <>
struct Fields<model::OnTask> {
  static void visit(auto& archive, auto& on) { archive(1, on.pid); }
};

template <>
struct Fields<model::OnLock> {
  static void visit(auto& archive, auto& on) {
    archive(1, on.file);
    archive(2, on.owners);
    archive(3, on.description);
    archive(4, on.taken_by_gone);
  }
};

template <>
struct Fields<model::OnSignal> {
  static void visit(auto& /*archive*/, auto& /*on*/) {}
};

template <>
struct Fields<model::OnOutside> {
  static void visit(auto& archive, auto& on) { archive(1, on.who); }
};

template <>
struct Fields<model::OnUnknown> {
  static void visit(auto& archive, auto& on) { archive(1, on.because); }
};

template <>
struct Fields<model::WaitOn> {
  static void visit(auto& archive, auto& on) {
    archive.template alternative<model::OnFd>(1, on);
    archive.template alternative<model::OnChildren>(2, on);
    archive.template alternative<model::OnFutex>(3, on);
    archive.template alternative<model::OnTask>(4, on);
    archive.template alternative<model::OnLock>(5, on);
    archive.template alternative<model::OnSignal>(6, on);
    archive.template alternative<model::OnOutside>(7, on);
    archive.template alternative<model::OnUnknown>(8, on);
  }
};

template <>
struct Fields<model::Wait> {
  static void visit(auto& archive, auto& wait) {
    archive(1, wait.kind);
    archive(2, wait.on);
    archive(3, wait.timeout);
    archive(4, wait.remaining);
    archive(5, wait.polling);
    archive(6, wait.polling_text);
    archive(7, wait.inferred);
  }
};

template <>
struct Fields<model::SyscallLine> {
  static void visit(auto& archive, auto& line) {
    archive(1, line.call);
    archive(2, line.stack_pointer);
    archive(3, line.program_counter);
  }
};

template <>
struct Fields<model::Counters> {
  static void visit(auto& archive, auto& counters) {
    archive(1, counters.voluntary_switches);
    archive(2, counters.involuntary_switches);
    archive(3, counters.cpu_ticks);
  }
};

template <>
struct Fields<model::NativeFrame> {
  static void visit(auto& archive, auto& frame) {
    archive(1, frame.pc);
    archive(2, frame.function);
    archive(3, frame.module);
    archive(4, frame.offset);
    archive(5, frame.file);
    archive(6, frame.line);
  }
};

template <>
struct Fields<model::PythonFrame> {
  static void visit(auto& archive, auto& frame) {
    archive(1, frame.function);
    archive(2, frame.file);
    archive(3, frame.line);
    archive(4, frame.entry);
  }
};

template <>
struct Fields<model::AwaitedEnd> {
  static void visit(auto& archive, auto& awaited) {
    archive(1, awaited.thread);
    archive(2, awaited.process);
    archive(3, awaited.object);
    archive(4, awaited.frame);
  }
};

template <>
struct Fields<model::PythonTask> {
  static void visit(auto& archive, auto& task) {
    archive(1, task.name);
    archive(2, task.coroutine);
    archive(3, task.frames);
    archive(4, task.awaits);
    archive(5, task.tid);
    archive(6, task.current);
    archive(7, task.kind);
  }
};

template <>
struct Fields<model::Interpreter> {
  static void visit(auto& archive, auto& interpreter) {
    archive(1, interpreter.version);
    archive.known(2, 3, interpreter.finalizing);
    archive.known(4, 5, interpreter.gil_holder);
    archive(6, interpreter.tasks);
    archive(7, interpreter.tasks_left_out);
    archive(8, interpreter.note);
  }
};

template <>
struct Fields<model::Thread> {
  static void visit(auto& archive, auto& thread) {
    archive(1, thread.tid);
    archive(2, thread.comm);
    archive(3, thread.name);
    archive(4, thread.state);
    archive(5, thread.start_time);
    archive(6, thread.counters);
    archive.known(7, 8, thread.syscall);
    archive(9, thread.call_text);
    archive(10, thread.wchan);
    archive(11, thread.wait);
    archive(12, thread.waiting_since);
    archive(13, thread.stack);
    archive(14, thread.python);
    archive(15, thread.runtime_deadline);
    archive(16, thread.stack_note);
    archive(17, thread.awaited_end);
  }
};

template <>
struct Fields<model::OutputTail> {
  static void visit(auto& archive, auto& tail) {
    archive(1, tail.fd);
    archive(2, tail.path);
    archive(3, tail.last_line);
  }
};

template <>
struct Fields<model::Process> {
  static void visit(auto& archive, auto& process) {
    archive(1, process.pid);
    archive(2, process.parent);
    archive(3, process.process_group);
    archive(4, process.session);
    archive(5, process.terminal);
    archive(6, process.terminal_foreground);
    archive(7, process.tracer);
    archive(8, process.uid);
    archive(9, process.start_time);
    archive(10, process.state);
    archive(11, process.comm);
    archive(12, process.argv);
    archive(13, process.exe);
    archive(14, process.ns_pids);
    archive(15, process.threads);
    archive.known(16, 17, process.fds);
    archive(18, process.address_space);
    archive(19, process.in_tree);
    archive(20, process.output_tails);
    archive(21, process.role);
    archive.known(22, 23, process.caught_signals);
    archive(24, process.cpu_starved);
    archive(25, process.frozen);
    archive(26, process.interpreter);
  }
};

template <>
struct Fields<model::Snapshot> {
  static void visit(auto& archive, auto& snapshot) {
    archive(1, snapshot.taken_at);
    archive(2, snapshot.taken_wall);
    archive(3, snapshot.roots);
    archive(4, snapshot.processes);
    archive(5, snapshot.resources);
    archive(6, snapshot.could_not_see);
    archive(7, snapshot.suspended);
  }
};

}  // namespace stucktrace::record
