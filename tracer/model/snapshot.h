#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "syscalls/decode.h"
#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/model/frame.h"
#include "tracer/model/known.h"
#include "tracer/model/resource.h"

namespace stucktrace::model {

// ---- what a thread waits for --------------------------------------------------------------------

// The report schema's words (see report.schema.json): to_string gives "pipe-write" and so on.
enum class WaitKind : std::uint8_t {
  kRunning,  // on a CPU or runnable: not waiting
  kPipeWrite,
  kPipeRead,
  kFifoOpen,
  kUnixWrite,
  kUnixRead,
  kTcpWrite,
  kTcpRead,
  kAccept,
  kConnect,
  kTtyRead,
  kTtyWrite,
  kFutex,
  kThreadJoin,
  kChildWait,
  kFileLock,
  kSemaphore,
  kMsgQueue,
  kEventFd,
  kMultiplex,
  kSleep,
  kSignalWait,
  kIoUring,
  kDisk,
  kStopped,
  kVfork,
  kOther,
};
std::string_view to_string(WaitKind kind);

// ---- the things a wait is on; any one of them can end it (OR) -----------------------------------

struct OnFd {  // data, end of file or a connection (read), room (write)
  int fd = -1;
  ResourceId resource;
  FdMode direction = FdMode::kRead;
};
struct OnChildren {  // wait4/waitid; empty `children` = none that could match exists
  enum class Which : std::uint8_t { kOne, kAny, kGroup } which = Which::kAny;
  std::int32_t selector = 0;        // pid or process group
  std::vector<base::Pid> children;  // those alive (or zombie) that match, sorted
  bool reports_stops = false;       // WUNTRACED / WSTOPPED
};
struct OnFutex {
  ResourceId futex;
  base::RemoteAddr address;
  bool is_private = true;
  Known<std::uint32_t> word = unknown("not read");
  // What the word is used for, as far as memory proves it.
  enum class Role : std::uint8_t {
    kUnknown,
    kMutex,
    kPiMutex,
    kJoin,
    kRwlockWriter,
    kRwlockReader,
    kRuntimeLock,  // a lock object of an interpreter; `owner` where its frames prove one
    kMonitor,      // a lock of a Java virtual machine, monitor or java.util.concurrent
  } role = Role::kUnknown;
  std::optional<base::Tid> owner;  // lock owner or the thread joined, where memory names one
  bool owner_alive = false;        // ... and is a live thread of a process that maps the word
  std::vector<base::Pid> sharers;  // shared futex: processes mapping the page, sorted
};
struct OnTask {
  base::Pid pid;
};  // pidfd, vfork child, tracer
struct OnLock {
  ResourceId file;
  std::vector<base::Pid> owners;  // holders of the conflicting lock, sorted
  std::string description;        // "POSIX WRITE 0-EOF"
  // Who took the lock, where that process has ended: `owners` then have it by inheritance.
  std::optional<base::Pid> taken_by_gone;
};
struct OnSignal {};  // sigtimedwait, sigsuspend, pause, signalfd
struct OnOutside {
  std::string who;
};  // "terminal user", "10.1.2.3:443", "disk"
struct OnUnknown {
  std::string because;
};

using WaitOn =
    std::variant<OnFd, OnChildren, OnFutex, OnTask, OnLock, OnSignal, OnOutside, OnUnknown>;

struct Wait {
  WaitKind kind = WaitKind::kOther;
  std::vector<WaitOn> on;
  // The call's own time-out as given, an upper bound of what remains; nullopt = none.
  std::optional<base::Nanoseconds> timeout;
  // Exact remaining time where it can be known (absolute deadlines, timerfd).
  std::optional<base::Nanoseconds> remaining;
  // A loop of short waits that has the releasers in `on`, not one blocked call.
  bool polling = false;
  std::string polling_text;  // "wait4(WNOHANG) + select 50 ms"
  // Nothing about what the loop looks for can be seen; `on` then holds what it may be (inferred).
  bool inferred = false;
};

// ---- threads and processes ----------------------------------------------------------------------

struct SyscallLine {  // /proc/TID/syscall (proc(5))
  syscalls::RawCall call;
  std::uint64_t stack_pointer = 0;
  std::uint64_t program_counter = 0;
};

struct Counters {  // anything that moves when a thread does
  std::uint64_t voluntary_switches = 0;
  std::uint64_t involuntary_switches = 0;
  std::uint64_t cpu_ticks = 0;  // utime + stime
  bool operator==(const Counters&) const = default;
};

// Whose end a thread waits for, as a variable of one of its frames says.
struct AwaitedEnd {
  base::Tid thread;    // of the same process; 0: a process is waited for
  base::Pid process;   // 0: a thread is waited for
  std::string object;  // "QueueFeederThread", "Process-1", "Popen": by name, else by type
  PythonFrame frame;   // where the variable is
};

struct Thread {
  base::Tid tid;
  std::string comm;  // raw bytes
  std::string name;  // as the runtime knows it (threading.Thread.name), "" unknown
  char state = '?';  // /proc/TID/stat field 3
  std::uint64_t start_time = 0;
  Counters counters;
  Known<SyscallLine> syscall = unknown("not read");
  std::string call_text;  // decoded: "write(4<pipe:25725>, 0x7f.., 200009)"
  std::string wchan;
  Wait wait;
  // When this wait began, where it can be known (events, runtime frames).
  std::optional<base::Instant> waiting_since;
  Stack stack;
  std::vector<PythonFrame> python;  // innermost first
  // Time until a deadline that the runtime keeps in a frame (Python `deadline` locals): exact where
  // the kernel only knows the next turn of a polling loop. Negative = passed.
  std::optional<base::Nanoseconds> runtime_deadline;
  std::string stack_note;  // why a stack is missing or ends early
  std::optional<AwaitedEnd> awaited_end;
};

// A task of asyncio that has not ended.
struct PythonTask {
  std::string name;                 // "Task-1"; "" before 3.8
  std::string coroutine;            // what it runs, qualified: "Server.handle"
  std::vector<PythonFrame> frames;  // of its coroutines, innermost first; what it waits in
  std::string awaits;               // "Future", "Task-3", "gather of 2"; "" it could run
  base::Tid tid;                    // the thread that runs its event loop; 0 none does
  bool current = false;             // the loop is in it now, not between tasks
  // Of a greenlet that is suspended: `name` is its type's, `coroutine` the function it runs, and
  // what it waits for is not known.
  enum class Kind : std::uint8_t { kTask, kGreenlet } kind = Kind::kTask;
  bool operator==(const PythonTask&) const = default;
};

// What a Python interpreter says of itself.
struct Interpreter {
  std::string version;  // "3.11.7"
  Known<bool> finalizing = unknown("not read");
  // The thread that has the interpreter's lock; 0: nobody has it.
  Known<base::Tid> gil_holder = unknown("not read");
  std::vector<PythonTask> tasks;
  std::size_t tasks_left_out = 0;  // more than are read, or changing meanwhile
  std::string note;                // what is not read of it, or why nothing: "CPython 3.15.0: ..."
};

struct OutputTail {  // last line of a regular-file stdout/stderr
  int fd = -1;
  std::string path;
  std::string last_line;  // raw bytes, no newline
};

struct Process {
  base::Pid pid;
  base::Pid parent;
  std::int32_t process_group = 0;
  std::int32_t session = 0;
  std::int32_t terminal = 0;             // tty_nr, 0 none
  std::int32_t terminal_foreground = 0;  // tpgid
  std::int32_t tracer = 0;               // TracerPid
  std::uint32_t uid = 0;
  std::uint64_t start_time = 0;  // clock ticks since boot
  char state = '?';
  std::string comm;  // raw bytes
  std::vector<std::string> argv;
  std::string exe;
  std::vector<std::int32_t> ns_pids;  // NSpid, outermost first
  std::vector<Thread> threads;        // sorted by tid, main first
  Known<std::vector<FdEntry>> fds = unknown("not read");
  // Processes that share one address space (vfork child, CLONE_VM) have the same value.
  std::uint64_t address_space = 0;
  bool in_tree = true;  // false: taken in because it holds another end
  std::vector<OutputTail> output_tails;
  // SigCgt of /proc/PID/status: bit n-1 is set where signal n has a handler.
  Known<std::uint64_t> caught_signals = unknown("not read");
  std::string role;  // "P1"; processes in order of start below the roots
  // Its control group was kept off the CPU between the previous look and this one (cpu.stat).
  bool cpu_starved = false;
  // Its control group is frozen (cgroup.events): nothing in it can run until somebody thaws it.
  bool frozen = false;
  std::optional<Interpreter> interpreter;  // of Python
};

// Everything about a set of processes at one instant.
struct Snapshot {
  base::Instant taken_at;
  base::Nanoseconds taken_wall{};
  std::vector<base::Pid> roots;
  std::vector<Process> processes;  // sorted by pid
  std::map<ResourceId, Resource> resources;
  std::vector<std::string> could_not_see;  // one sentence each
  // How long the machine slept (suspended) between the previous look and this one; 0 at a first.
  base::Nanoseconds suspended{};

  const Process* find(base::Pid pid) const;
  const Thread* find_thread(base::Tid tid, const Process** owner = nullptr) const;
};

}  // namespace stucktrace::model
