#include "tests/unit/render/birth_case.h"

#include <fcntl.h>
#include <poll.h>

#include <array>

namespace stucktrace::test {
namespace {

using base::Pid;
using base::Tid;
using model::FdMode;
using model::NewTaskKind;
using model::ResourceKind;

constexpr int kP = 4711;
constexpr int kS = 4712;
constexpr int kShell = 4713;
constexpr int kFeeder = 4714;
constexpr model::ResourceId kQueuePipe{ResourceKind::kPipe, 0, 25725, 0};

model::FdEntry end(int fd, std::uint64_t inode, FdMode mode) {
  return fd_entry(fd, ResourceKind::kPipe, inode, mode, "pipe:[" + std::to_string(inode) + "]",
                  true);
}

std::vector<model::FdEntry> terminal() {
  std::vector<model::FdEntry> fds;
  for (const int fd : {0, 1, 2}) {
    fds.push_back(fd_entry(fd, ResourceKind::kTty, 3, FdMode::kBoth, "/dev/pts/0"));
  }
  return fds;
}

// pipe2(2): both ends, read end first, O_CLOEXEC.
void make_pipe(EventScript& script, double ms, int pid, int read_end, std::uint64_t inode) {
  const std::string pair = bytes_of(std::array{read_end, read_end + 1});
  script.enter(ms, pid, pid, "pipe2", {0x7000, O_CLOEXEC});
  script.exit(ms + 0.1, pid, pid, "pipe2", {0x7000, O_CLOEXEC}, 0, {{0x7000, pair}},
              {end(read_end, inode, FdMode::kRead), end(read_end + 1, inode, FdMode::kWrite)});
}

model::TaskSeen task(int parent, std::string comm, std::vector<std::string> argv = {},
                     std::vector<model::FdEntry> fds = {}) {
  model::TaskSeen seen;
  seen.parent = Pid{parent};
  seen.comm = std::move(comm);
  seen.argv = std::move(argv);
  seen.fds = std::move(fds);
  return seen;
}

model::TaskExit status(int code) {
  model::TaskExit exit;
  exit.code = code;
  return exit;
}

model::SignalStop child_ended(int child) {
  model::SignalStop stop;
  stop.signo = 17;
  stop.sender = Pid{child};
  return stop;
}

}  // namespace

EventScript birth_case() {
  EventScript s;
  const std::string all_done = "All done! Goodbye!\n";
  const std::string still = "S is still running!\n";
  const std::string sentinel = bytes_of(pollfd{5, POLLIN, 0});
  const std::string block(4096, 'x');

  s.seen(0, kP, kP, task(4000, "stucktrace", {"stucktrace"}, terminal()));
  s.add(1, kP, kP, model::Exec{Tid{}, "/usr/bin/python3.11", {"python3", "hang.py", "200000"}, {}});
  make_pipe(s, 40, kP, 3, 25725);
  make_pipe(s, 55, kP, 5, 25730);
  s.made(60, kP, kP, kS, NewTaskKind::kFork);
  s.seen(60.2, kS, kS, task(kP, "python3"));
  s.call(61, 61.1, kP, kP, "close", {6}, 0);
  s.call(61, 61.1, kS, kS, "close", {5}, 0);
  s.enter(62, kP, kP, "poll", {0x7100, 1, 5000}, {{0x7100, sentinel}});

  // The shell, its output read by S.
  make_pipe(s, 65, kS, 7, 25740);
  s.made(66, kS, kS, kShell, NewTaskKind::kVfork);
  s.seen(66.2, kShell, kShell, task(kS, "python3"));
  s.call(66.5, 66.6, kShell, kShell, "dup2", {8, 1}, 1);
  s.add(67, kShell, kShell,
        model::Exec{
            Tid{}, "/bin/sh", {"/bin/sh", "-c", "head -c 200000 /dev/zero | tr '\\0' x"}, {}});
  s.call(67.5, 67.6, kS, kS, "close", {8}, 0);
  for (int i = 0; i < 40; ++i) {
    const double at = 70 + i * 0.5;
    s.call(at, at + 0.2, kShell, kShell, "write", {1, 0x9000, 5000}, 5000, {{0x9000, block}});
    s.call(at + 0.1, at + 0.3, kS, kS, "read", {7, 0x9000, 5000}, 5000);
  }
  s.enter(92, kShell, kShell, "exit_group", {0});
  s.add(93, kShell, kShell, status(0));
  s.add(93.5, kS, kS, child_ended(kShell));
  s.call(94, 94.1, kS, kS, "wait4", {kShell, 0, 0, 0}, kShell);

  // Queue.put starts the feeder; its write does not fit.
  s.made(102, kS, kS, kFeeder, NewTaskKind::kThread, true);
  s.seen(102.1, kS, kFeeder, task(kS, "QueueFeederThre"));
  s.enter(103, kS, kFeeder, "write", {4, 0xa000, 200013});
  s.call(104, 104.1, kS, kS, "write", {1, 0xb000, all_done.size()},
         static_cast<std::int64_t>(all_done.size()), {{0xb000, all_done}});
  s.enter(105, kS, kS, "futex", {0xc000, 0x189, 0, 0, 0, 0xffffffff});

  // The join's limit breaks it.
  s.exit(5062, kP, kP, "poll", {0x7100, 1, 5000}, 0);
  s.call(5062.5, 5062.6, kP, kP, "write", {1, 0xb000, still.size()},
         static_cast<std::int64_t>(still.size()), {{0xb000, still}});
  s.call(5063, 5063.3, kP, kP, "read", {3, 0x9000, 200013}, 65536);
  s.exit(5063.5, kS, kFeeder, "write", {4, 0xa000, 200013}, 200013);
  s.call(5063.6, 5063.8, kP, kP, "read", {3, 0x9000, 134477}, 134477);
  s.enter(5064, kS, kFeeder, "exit", {0});
  s.add(5064.5, kS, kFeeder, status(0));
  s.exit(5065, kS, kS, "futex", {0xc000, 0x189, 0, 0, 0, 0xffffffff}, 0);
  s.enter(5066, kS, kS, "exit_group", {0});
  s.add(5068, kS, kS, status(0));
  s.add(5068.5, kP, kP, child_ended(kS));
  s.call(5069, 5069.1, kP, kP, "wait4", {kS, 0, 0, 0}, kS);
  s.enter(5080, kP, kP, "exit_group", {0});
  s.add(5081, kP, kP, status(0));
  return s;
}

model::FindingRecord birth_finding() {
  using std::chrono::milliseconds;
  model::Finding finding;
  finding.rule = "pipe-full-after-announce";
  finding.certainty = model::Certainty::kUntil;
  finding.pid = Pid{kS};
  finding.tid = Tid{kFeeder};
  finding.resource = kQueuePipe;
  finding.headline =
      "P2 python3 (pid 4712) said \"All done! Goodbye!\" but cannot exit: its thread 4714 is "
      "blocked "
      "writing 134 477 more bytes into pipe:25725, which only P1 python3 (pid 4711) would read, "
      "and "
      "that one waits for 4712 to exit";
  finding.chain = {
      {Pid{kP},
       Tid{kP},
       "P1 python3 (pid 4711)",
       "waits for P2 (pid 4712) to exit, at most 3.8 s more",
       "pipe:25730, whose only writer is P2",
       milliseconds{1200},
       {"popen_fork.py:40 wait", "process.py:149 join", "hang.py:21 <module>"}},
      {Pid{kS},
       Tid{kS},
       "P2 python3 (pid 4712), main thread",
       "joins thread 4714 at exit",
       "futex:4712:0xc000",
       milliseconds{1157},
       {"threading.py:1590 _shutdown", "process.py:315 _bootstrap"}},
      {Pid{kS},
       Tid{kFeeder},
       "P2 python3 (pid 4712), thread 4714 (QueueFeederThread)",
       "is blocked in write() of 134 477 more bytes",
       "pipe:25725 (65 536 of 65 536 bytes unread)",
       milliseconds{1159},
       {"connection.py:384 _send", "queues.py:270 _feed"}},
  };
  finding.cycle = {Tid{kP}, Tid{kS}, Tid{kFeeder}};
  finding.resolves_in = milliseconds{3800};
  finding.announced =
      model::Announcement{"All done! Goodbye!", 1, EventScript::at_ms(104), "written to stdout"};
  finding.explanation = {
      "The result of 200 013 bytes does not fit into the pipe, so the feeder thread must wait "
      "until "
      "somebody reads.",
      "P2 does not exit before the feeder is done, P1 does not read before P2 has exited: each "
      "waits "
      "for the next.",
      "P2 holds the read end of the pipe too (fd 3), so the feeder would not get EPIPE if P1 died.",
  };
  finding.evidence = {
      "pipe:25725: a copy of the write end polls not writable",
      "readers of pipe:25725: P1 fd 3, P2 fd 3",
      "two samples 200 ms apart: same waits, no context switch in 4711, 4712, 4714",
      "poll() of 4711 began 1.2 s ago with a time-out of 5 s",
  };
  finding.remedy =
      "Read from the queue before joining the process: call q.get() before p.join(), or make the "
      "child call cancel_join_thread() if the data may be lost.";
  model::FindingRecord record;
  record.finding = std::move(finding);
  record.stalled_since = EventScript::at_ms(103);
  record.first_reported = EventScript::at_ms(1262);
  return record;
}

model::Report birth_report() {
  using model::Process;
  using model::Thread;
  auto snapshot = std::make_shared<model::Snapshot>();
  snapshot->taken_at = EventScript::at_ms(1262);
  snapshot->taken_wall = std::chrono::seconds{1'772'366'405} + std::chrono::milliseconds{250};
  snapshot->roots = {Pid{kP}};

  const auto thread = [](int tid, std::string comm, model::WaitKind kind, double since_ms) {
    Thread made;
    made.tid = Tid{tid};
    made.comm = std::move(comm);
    made.state = 'S';
    made.wait.kind = kind;
    made.waiting_since = EventScript::at_ms(since_ms);
    return made;
  };
  Process p;
  p.pid = Pid{kP};
  p.parent = Pid{4000};
  p.comm = "python3";
  p.argv = {"python3", "hang.py", "200000"};
  p.exe = "/usr/bin/python3.11";
  p.ns_pids = {kP};
  p.state = 'S';
  p.start_time = 5000;
  p.role = "P1";
  p.threads = {thread(kP, "python3", model::WaitKind::kMultiplex, 62)};
  p.threads[0].wait.on = {model::OnFd{5, {ResourceKind::kPipe, 0, 25730, 0}, FdMode::kRead}};
  p.threads[0].wait.timeout = std::chrono::seconds{5};
  p.threads[0].wait.remaining = std::chrono::milliseconds{3800};
  p.threads[0].syscall = model::SyscallLine{raw_call("poll", {0x7100, 1, 5000}), 0x7000, 0x4000};
  p.threads[0].call_text = "poll([{fd=5<pipe:25730>, events=POLLIN}], 1, 5000)";
  p.threads[0].python = {{"wait", "/usr/lib/python3.11/multiprocessing/popen_fork.py", 40}};
  p.threads[0].stack = {{0x7f01, "poll", "/lib/x86_64-linux-gnu/libc.so.6", 0x4f, "", 0}};

  Process s = p;
  s.pid = Pid{kS};
  s.parent = Pid{kP};
  s.ns_pids = {kS};
  s.role = "P2";
  s.threads = {thread(kS, "python3", model::WaitKind::kThreadJoin, 105),
               thread(kFeeder, "QueueFeederThre", model::WaitKind::kPipeWrite, 103)};
  model::OnFutex join;
  join.futex = {ResourceKind::kFutex, kS, 0xc000, 0};
  join.address = base::RemoteAddr{0xc000};
  join.role = model::OnFutex::Role::kJoin;
  join.owner = Tid{kFeeder};
  join.owner_alive = true;
  s.threads[0].wait.on = {join};
  s.threads[1].name = "QueueFeederThread";
  s.threads[1].wait.on = {model::OnFd{4, kQueuePipe, FdMode::kWrite}};
  snapshot->processes = {p, s};

  model::Resource pipe;
  pipe.id = kQueuePipe;
  pipe.label = "pipe:[25725]";
  pipe.holders = {
      {Pid{kP}, 3, FdMode::kRead}, {Pid{kS}, 3, FdMode::kRead}, {Pid{kS}, 4, FdMode::kWrite}};
  pipe.holders_complete = true;
  pipe.capacity = 65536;
  pipe.queued = 65536;
  pipe.full = true;
  snapshot->resources[pipe.id] = pipe;

  model::Report report;
  report.tool_version = "0.1.0";
  report.host = "Linux 6.1.0 x86_64";
  report.taken_at = snapshot->taken_at;
  report.taken_wall = snapshot->taken_wall;
  report.snapshot = std::move(snapshot);
  report.diagnosis.edges = {
      {Tid{kP},
       {Tid{kS}, Tid{kFeeder}},
       std::chrono::milliseconds{3800},
       false,
       model::ResourceId{ResourceKind::kPipe, 0, 25730, 0},
       "holds the write end (fd 6)"},
      {Tid{kS}, {Tid{kFeeder}}, std::nullopt, false, join.futex, "is the thread joined"},
      {Tid{kFeeder},
       {Tid{kP}, Tid{kS}},
       std::nullopt,
       false,
       kQueuePipe,
       "holds the read end (fd 3)"},
  };
  using enum model::ThreadVerdict;
  report.diagnosis.threads = {{Tid{kP}, kStuck}, {Tid{kS}, kStuck}, {Tid{kFeeder}, kStuck}};
  report.diagnosis.findings = {birth_finding().finding};
  report.could_not_see = {"the file descriptors of 3 processes of other users (no permission)"};
  return report;
}

}  // namespace stucktrace::test
