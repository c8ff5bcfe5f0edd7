#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "syscalls/decode.h"
#include "syscalls/memory.h"
#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/model/frame.h"
#include "tracer/model/resource.h"

namespace stucktrace::model {

struct Snapshot;

// ---- one event, as the engine saw it and the recording keeps it --------------------------------

// A task came under the tracer's eyes: the launched program, a thread or process found at attach.
// Tasks made later arrive as NewTask followed by TaskSeen of the child.
struct TaskSeen {
  base::Pid parent;              // ppid; for a thread its tgid
  std::uint64_t start_time = 0;  // /proc/PID/stat field 22, clock ticks since boot; 0 unknown
  std::string comm;
  std::string exe;                // "" for a thread other than the main one
  std::vector<std::string> argv;  // likewise
  std::vector<FdEntry> fds;       // of the process, main thread only; empty if unreadable
  bool at_attach = false;         // existed before us
  // Its role, where what came before is missing (TraceState): 1.. as in "P2.T1"; 0 elsewhere.
  std::uint32_t process_number = 0;
  std::uint32_t thread_number = 0;
};

enum class NewTaskKind : std::uint8_t { kFork, kVfork, kThread, kCloneProcess };

// The parent's fork, vfork or clone event (ptrace(2) PTRACE_EVENT_*).
struct NewTask {
  base::Tid child;
  NewTaskKind kind = NewTaskKind::kFork;
  bool shares_fds = false;  // CLONE_FILES
};

struct SyscallEnter {
  syscalls::RawCall call;
  syscalls::CapturedMemory memory;
  // In progress when we attached: the true start is earlier.
  bool open_at_attach = false;
  // No stop told of it: a look found the thread in it (a filter lets such calls run freely).
  bool looked_up = false;
  // How long the call had been on, as far as was seen, when this event was made.
  base::Nanoseconds age{};
  // What its descriptors are, read for this event; empty where events tell all there is.
  std::vector<FdEntry> fds;
};

// Where a call's time went; the rest of it the thread slept.
struct CallTimes {
  base::Nanoseconds on_cpu{};  // in the kernel
  base::Nanoseconds queued{};  // able to run, waiting for a CPU
  bool operator==(const CallTimes&) const = default;
};

struct SyscallExit {
  syscalls::RawCall call;  // the registers of the entry, so that a lost enter still decodes
  syscalls::RawResult result;
  syscalls::CapturedMemory memory;  // out-parameters
  // What a descriptor made by this call is (pipe, socket, dup, open ...): fd and its entry.
  std::vector<FdEntry> made_fds;
  // A look found the thread out of a call that a look had found it in: `result` is not known.
  bool looked_up = false;
  std::optional<CallTimes> spent;  // only where asked for
};

// A process's whole descriptor table, read anew while calls that change it run unseen.
struct FdsSeen {
  std::vector<FdEntry> fds;
};

// The stack of a thread in the call it is in, where one was asked for: at its entry, or once it had
// been blocked in it for long. Belongs to the call that the thread's last SyscallEnter told of.
struct StackSeen {
  std::vector<NativeFrame> frames;  // innermost first
  std::vector<PythonFrame> python;  // innermost first
  std::string note;                 // "" complete; else why it is missing or ends early
};

struct SignalStop {  // a signal about to be delivered
  int signo = 0;
  int code = 0;               // si_code
  base::Pid sender;           // si_pid where the code says so, else 0
  std::uint64_t address = 0;  // si_addr for faults
};

struct GroupStop {
  int signo = 0;
};
struct Continued {};

struct Exec {
  base::Tid former_tid;  // another thread's tid when a non-leader called execve(2)
  std::string exe;
  std::vector<std::string> argv;
  std::vector<FdEntry> fds;  // what survived close-on-exec
};

struct TaskExit {
  bool signaled = false;
  int code = 0;  // exit status, or the signal
  bool core_dumped = false;
};

struct Detached {
  std::string because;
};  // the tool let go of this task

// Something that should have been seen was not; `count` events or one thing named by `what`.
struct Lost {
  std::uint64_t count = 0;
  std::string what;
};

// Two looks at the tree, a settle time apart: what the diagnosis is made from.
struct Sample {
  std::shared_ptr<const Snapshot> before;
  std::shared_ptr<const Snapshot> now;
};

struct Note {
  std::string text;
};

using EventData =
    std::variant<TaskSeen, NewTask, SyscallEnter, SyscallExit, SignalStop, GroupStop, Continued,
                 Exec, TaskExit, Detached, Lost, Sample, Note, FdsSeen, StackSeen>;

struct Event {
  std::uint64_t sequence = 0;  // 1.. in the order the engine emitted them
  base::Instant at;
  base::Pid pid;  // tgid; 0 for events about no task
  base::Tid tid;
  EventData data;
};

// Which calls a trace can show; others were made without a trace.
struct TracedCalls {
  std::vector<std::string> calls;    // names, sorted
  bool all_but = false;              // `calls` are those it cannot show
  std::vector<std::string> in_part;  // of those it can show: with some arguments only
  bool looked_up = false;            // the others are found by a look, once they last
};

// What stands at the head of a recording or a live run.
struct TraceHeader {
  std::string tool_version;
  std::string mode;                  // "launch", "seize", "attach"
  std::vector<std::string> command;  // launch: argv; attach: the pids as text
  base::Instant started;
  base::Nanoseconds started_wall{};  // CLOCK_REALTIME at `started`
  std::string host;                  // uname -srm; never a host name
  std::uint32_t clock_ticks_per_second = 100;
  std::int32_t own_pid = 0;
  std::vector<base::Pid> roots;  // the tree's roots
  // Settings a diagnosis depends on, so that a replay gives the same verdicts.
  base::Nanoseconds stuck_after{};
  std::vector<std::string> announce;  // additional completion phrases (regular expressions)
  std::optional<TracedCalls> traced;  // nullopt: an older writer's
};

// Where events go: recorder, timeline, monitor, tee.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void on_event(const Event& event) = 0;
  // The same for a caller that needs the event no more.
  virtual void take(Event&& event) { on_event(event); }
};

}  // namespace stucktrace::model
