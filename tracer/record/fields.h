#pragma once

#include <protozero/types.hpp>

#include "tracer/model/event.h"
#include "tracer/model/snapshot.h"

// The messages of stucktrace.proto, each written down once and visited by both the encoder and the
// decoder, so that the two cannot disagree. `visit(archive, value)` names every member with its
// field number:
//   archive(number, member)                    a field; a default value is not written
//   archive.known(number, number, member)      Known<T>: the value, or the reason why not
//   archive.template alternative<T>(n, member) one alternative of a std::variant (a oneof)
// Numbers are never reused or changed: they are the file format.
namespace stucktrace::record {

template <class T>
struct Fields;

// The last enumerator known here, and what a number beyond it (a newer writer's) becomes.
template <class E>
struct EnumRange;

template <>
struct EnumRange<syscalls::Abi> {
  static constexpr auto kLast = syscalls::Abi::kAarch64;
  static constexpr auto kFallback = syscalls::Abi::kUnknown;
};
template <>
struct EnumRange<model::NewTaskKind> {
  static constexpr auto kLast = model::NewTaskKind::kCloneProcess;
  static constexpr auto kFallback = model::NewTaskKind::kFork;
};
template <>
struct EnumRange<model::ResourceKind> {
  static constexpr auto kLast = model::ResourceKind::kSysvQueue;
  static constexpr auto kFallback = model::ResourceKind::kUnknown;
};
template <>
struct EnumRange<model::FdMode> {
  static constexpr auto kLast = model::FdMode::kBoth;
  static constexpr auto kFallback = model::FdMode::kNone;
};
template <>
struct EnumRange<model::WaitKind> {
  static constexpr auto kLast = model::WaitKind::kOther;
  static constexpr auto kFallback = model::WaitKind::kOther;
};
template <>
struct EnumRange<model::OnChildren::Which> {
  static constexpr auto kLast = model::OnChildren::Which::kGroup;
  static constexpr auto kFallback = model::OnChildren::Which::kAny;
};
template <>
struct EnumRange<model::PythonTask::Kind> {
  static constexpr auto kLast = model::PythonTask::Kind::kGreenlet;
  static constexpr auto kFallback = model::PythonTask::Kind::kTask;
};
template <>
struct EnumRange<model::OnFutex::Role> {
  static constexpr auto kLast = model::OnFutex::Role::kMonitor;
  static constexpr auto kFallback = model::OnFutex::Role::kUnknown;
};

// ---- header -------------------------------------------------------------------------------------

template <>
struct Fields<model::TracedCalls> {
  static void visit(auto& archive, auto& traced) {
    archive(1, traced.calls);
    archive(2, traced.all_but);
    archive(3, traced.in_part);
    archive(4, traced.looked_up);
  }
};

template <>
struct Fields<model::TraceHeader> {
  static void visit(auto& archive, auto& header) {
    archive(1, header.tool_version);
    archive(2, header.mode);
    archive(3, header.command);
    archive(4, header.started);
    archive(5, header.started_wall);
    archive(6, header.host);
    archive(7, header.clock_ticks_per_second);
    archive(8, header.own_pid);
    archive(9, header.roots);
    archive(10, header.stuck_after);
    archive(11, header.announce);
    archive(12, header.traced);
  }
};

// ---- resources ----------------------------------------------------------------------------------

template <>
struct Fields<model::ResourceId> {
  static void visit(auto& archive, auto& id) {
    archive(1, id.kind);
    archive(2, id.device);
    archive(3, id.inode);
    archive(4, id.offset);
  }
};

template <>
struct Fields<model::FdEntry> {
  static void visit(auto& archive, auto& entry) {
    archive(1, entry.fd);
    archive(2, entry.resource);
    archive(3, entry.mode);
    archive(4, entry.nonblocking);
    archive(5, entry.close_on_exec);
    archive(6, entry.label);
  }
};

template <>
struct Fields<model::Holder> {
  static void visit(auto& archive, auto& holder) {
    archive(1, holder.pid);
    archive(2, holder.fd);
    archive(3, holder.mode);
  }
};

template <>
struct Fields<model::Resource> {
  static void visit(auto& archive, auto& resource) {
    archive(1, resource.id);
    archive(2, resource.label);
    archive(3, resource.holders);
    archive(4, resource.holders_complete);
    archive(5, resource.incomplete_because);
    archive.known(6, 7, resource.capacity);
    archive.known(8, 9, resource.queued);
    archive.known(10, 11, resource.full);
    archive.known(12, 13, resource.readable);
    archive(14, resource.peer);
    archive(15, resource.peer_outside);
    archive(16, resource.listening);
    archive(17, resource.backlog);
    archive(18, resource.backlog_queued);
    archive(19, resource.unaccepted);
    archive(20, resource.last_user);
    archive(21, resource.last_user_alive);
  }
};

// ---- events -------------------------------------------------------------------------------------

template <>
struct Fields<syscalls::RawCall> {
  static void visit(auto& archive, auto& call) {
    archive(1, call.abi);
    archive(2, call.number);
    archive(3, call.args);
  }
};

template <>
struct Fields<syscalls::RawResult> {
  static void visit(auto& archive, auto& result) {
    archive(1, result.value);
    archive(2, result.is_error);
  }
};

template <>
struct Fields<model::TaskSeen> {
  static void visit(auto& archive, auto& seen) {
    archive(1, seen.parent);
    archive(2, seen.start_time);
    archive(3, seen.comm);
    archive(4, seen.exe);
    archive(5, seen.argv);
    archive(6, seen.fds);
    archive(7, seen.at_attach);
    archive(8, seen.process_number);
    archive(9, seen.thread_number);
  }
};

template <>
struct Fields<model::NewTask> {
  static void visit(auto& archive, auto& made) {
    archive(1, made.child);
    archive(2, made.kind);
    archive(3, made.shares_fds);
  }
};

template <>
struct Fields<model::SyscallEnter> {
  static void visit(auto& archive, auto& enter) {
    archive(1, enter.call);
    archive(2, enter.memory);
    archive(3, enter.open_at_attach);
    archive(4, enter.looked_up);
    archive(5, enter.age);
    archive(6, enter.fds);
  }
};

template <>
struct Fields<model::SyscallExit> {
  static void visit(auto& archive, auto& exit) {
    archive(1, exit.call);
    archive(2, exit.result);
    archive(3, exit.memory);
    archive(4, exit.made_fds);
    archive(5, exit.looked_up);
    archive(6, exit.spent);
  }
};

template <>
struct Fields<model::CallTimes> {
  static void visit(auto& archive, auto& times) {
    archive(1, times.on_cpu);
    archive(2, times.queued);
  }
};

template <>
struct Fields<model::FdsSeen> {
  static void visit(auto& archive, auto& seen) { archive(1, seen.fds); }
};

template <>
struct Fields<model::StackSeen> {
  static void visit(auto& archive, auto& seen) {
    archive(1, seen.frames);
    archive(2, seen.python);
    archive(3, seen.note);
  }
};

template <>
struct Fields<model::SignalStop> {
  static void visit(auto& archive, auto& stop) {
    archive(1, stop.signo);
    archive(2, stop.code);
    archive(3, stop.sender);
    archive(4, stop.address);
  }
};

template <>
struct Fields<model::GroupStop> {
  static void visit(auto& archive, auto& stop) { archive(1, stop.signo); }
};

template <>
struct Fields<model::Continued> {
  static void visit(auto& /*archive*/, auto& /*continued*/) {}
};

template <>
struct Fields<model::Exec> {
  static void visit(auto& archive, auto& exec) {
    archive(1, exec.former_tid);
    archive(2, exec.exe);
    archive(3, exec.argv);
    archive(4, exec.fds);
  }
};

template <>
struct Fields<model::TaskExit> {
  static void visit(auto& archive, auto& exit) {
    archive(1, exit.signaled);
    archive(2, exit.code);
    archive(3, exit.core_dumped);
  }
};

template <>
struct Fields<model::Detached> {
  static void visit(auto& archive, auto& detached) { archive(1, detached.because); }
};

template <>
struct Fields<model::Lost> {
  static void visit(auto& archive, auto& lost) {
    archive(1, lost.count);
    archive(2, lost.what);
  }
};

template <>
struct Fields<model::Sample> {
  static void visit(auto& archive, auto& sample) {
    archive(1, sample.before);
    archive(2, sample.now);
  }
};

template <>
struct Fields<model::Note> {
  static void visit(auto& archive, auto& note) { archive(1, note.text); }
};

// Fields 10 and up of Event; 1 to 4 are differences to the event before and are the codec's.
template <>
struct Fields<model::EventData> {
  static void visit(auto& archive, auto& data) {
    archive.template alternative<model::TaskSeen>(10, data);
    archive.template alternative<model::NewTask>(11, data);
    archive.template alternative<model::SyscallEnter>(12, data);
    archive.template alternative<model::SyscallExit>(13, data);
    archive.template alternative<model::SignalStop>(14, data);
    archive.template alternative<model::GroupStop>(15, data);
    archive.template alternative<model::Continued>(16, data);
    archive.template alternative<model::Exec>(17, data);
    archive.template alternative<model::TaskExit>(18, data);
    archive.template alternative<model::Detached>(19, data);
    archive.template alternative<model::Lost>(20, data);
    archive.template alternative<model::Sample>(21, data);
    archive.template alternative<model::Note>(22, data);
    archive.template alternative<model::FdsSeen>(23, data);
    archive.template alternative<model::StackSeen>(24, data);
  }
};

}  // namespace stucktrace::record
