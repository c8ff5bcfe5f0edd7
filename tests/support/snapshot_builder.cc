#include "tests/support/snapshot_builder.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace stucktrace::test {

using model::FdMode;
using model::OnFd;
using model::ResourceId;
using model::ResourceKind;
using model::WaitKind;

namespace {

constexpr std::int64_t kRead = 0;
constexpr std::int64_t kWrite = 1;
constexpr std::int64_t kPoll = 7;
constexpr std::int64_t kConnect = 42;
constexpr std::int64_t kAccept = 43;
constexpr std::int64_t kSendto = 44;
constexpr std::int64_t kRecvfrom = 45;
constexpr std::int64_t kVfork = 58;
constexpr std::int64_t kWait4 = 61;
constexpr std::int64_t kMsgsnd = 69;
constexpr std::int64_t kFlock = 73;
constexpr std::int64_t kRtSigtimedwait = 128;
constexpr std::int64_t kFutex = 202;
constexpr std::int64_t kClockNanosleep = 230;
constexpr std::int64_t kOpenat = 257;

std::uint64_t arg(int fd) {
  return static_cast<std::uint64_t>(fd);
}

}  // namespace

ResourceId pipe_id(std::uint64_t inode) {
  return {ResourceKind::kPipe, 0, inode, 0};
}
ResourceId unix_id(std::uint64_t inode) {
  return {ResourceKind::kUnixSocket, 0, inode, 0};
}
ResourceId eventfd_id(std::uint64_t id) {
  return {ResourceKind::kEventFd, 0, id, 0};
}
ResourceId queue_id(std::uint64_t inode) {
  return {ResourceKind::kMessageQueue, 19, inode, 0};
}
ResourceId sysv_queue_id(std::uint64_t id) {
  return {ResourceKind::kSysvQueue, 0, id, 0};
}
OnFd on_pipe(std::uint64_t inode, int fd, FdMode direction) {
  return {fd, pipe_id(inode), direction};
}

// ---- threads ------------------------------------------------------------------------------------

model::Thread& ThreadBuilder::get() {
  for (model::Process& process : tree_.snapshot_.processes) {
    for (model::Thread& thread : process.threads) {
      if (thread.tid == tid_) return thread;
    }
  }
  std::abort();  // the test speaks of a thread it never made
}

ThreadBuilder& ThreadBuilder::wait(WaitKind kind, std::vector<model::WaitOn> on) {
  model::Thread& thread = get();
  thread.state = 'S';
  thread.wait = {};
  thread.wait.kind = kind;
  thread.wait.on = std::move(on);
  return *this;
}

ThreadBuilder& ThreadBuilder::call(std::int64_t number, std::uint64_t a0, std::uint64_t a1,
                                   std::uint64_t a2) {
  model::SyscallLine line;
  line.call.number = number;
  line.call.args = {a0, a1, a2, 0, 0, 0};
  get().syscall = line;
  return *this;
}

ThreadBuilder& ThreadBuilder::name(std::string name) {
  get().name = std::move(name);
  return *this;
}
ThreadBuilder& ThreadBuilder::writes_pipe(std::uint64_t inode, int fd, std::uint64_t bytes) {
  wait(WaitKind::kPipeWrite, {on_pipe(inode, fd, FdMode::kWrite)});
  return call(kWrite, arg(fd), 0x7000, bytes);
}
ThreadBuilder& ThreadBuilder::reads_pipe(std::uint64_t inode, int fd) {
  wait(WaitKind::kPipeRead, {on_pipe(inode, fd, FdMode::kRead)});
  return call(kRead, arg(fd), 0x7000, 4096);
}
ThreadBuilder& ThreadBuilder::writes_unix(std::uint64_t inode, int fd, std::uint64_t bytes) {
  wait(WaitKind::kUnixWrite, {OnFd{fd, unix_id(inode), FdMode::kWrite}});
  return call(kSendto, arg(fd), 0x7000, bytes);
}
ThreadBuilder& ThreadBuilder::reads_unix(std::uint64_t inode, int fd) {
  wait(WaitKind::kUnixRead, {OnFd{fd, unix_id(inode), FdMode::kRead}});
  return call(kRecvfrom, arg(fd), 0x7000, 4096);
}
ThreadBuilder& ThreadBuilder::polls(std::vector<OnFd> fds) {
  std::vector<model::WaitOn> on(fds.begin(), fds.end());
  const std::size_t count = fds.size();
  wait(WaitKind::kMultiplex, std::move(on));
  return call(kPoll, 0x7000, count);
}
ThreadBuilder& ThreadBuilder::waits_for_child(std::int32_t pid, bool reports_stops) {
  model::OnChildren on;
  on.which = model::OnChildren::Which::kOne;
  on.selector = pid;
  on.children = {base::Pid{pid}};
  on.reports_stops = reports_stops;
  wait(WaitKind::kChildWait, {on});
  return call(kWait4, static_cast<std::uint64_t>(pid));
}
ThreadBuilder& ThreadBuilder::waits_for_children(const std::vector<std::int32_t>& pids) {
  model::OnChildren on;
  on.selector = -1;
  for (const std::int32_t pid : pids) on.children.emplace_back(pid);
  std::ranges::sort(on.children);
  wait(WaitKind::kChildWait, {on});
  return call(kWait4, static_cast<std::uint64_t>(-1));
}
ThreadBuilder& ThreadBuilder::waits_on_condition(std::uint64_t address) {
  model::OnFutex on;
  on.futex = {ResourceKind::kFutex, 1, address, 0};
  on.address = base::RemoteAddr{address};
  wait(WaitKind::kFutex, {on});
  return call(kFutex, address, 0x189);
}
ThreadBuilder& ThreadBuilder::waits_on_shared_futex(std::uint64_t inode,
                                                    const std::vector<std::int32_t>& sharers) {
  model::OnFutex on;
  on.futex = {ResourceKind::kFutex, 0x100000001, inode, 8};
  on.is_private = false;
  for (const std::int32_t pid : sharers) on.sharers.emplace_back(pid);
  wait(WaitKind::kFutex, {on});
  return call(kFutex, inode, 0x109);
}
ThreadBuilder& ThreadBuilder::waits_for_lock(std::uint64_t address, std::int32_t owner,
                                             bool alive) {
  model::OnFutex on;
  on.futex = {ResourceKind::kFutex, 1, address, 0};
  on.address = base::RemoteAddr{address};
  on.word = 2U;
  on.role = model::OnFutex::Role::kMutex;
  on.owner = base::Tid{owner};
  on.owner_alive = alive;
  wait(WaitKind::kFutex, {on});
  return call(kFutex, address, 0x80, 2);
}
ThreadBuilder& ThreadBuilder::joins(std::int32_t tid) {
  model::OnFutex on;
  on.futex = {ResourceKind::kFutex, 1, 0x9000 + static_cast<std::uint64_t>(tid), 0};
  on.role = model::OnFutex::Role::kJoin;
  on.owner = base::Tid{tid};
  on.owner_alive = true;
  wait(WaitKind::kThreadJoin, {on});
  return call(kFutex, 0x9000, 0x109);
}
ThreadBuilder& ThreadBuilder::waits_for_file_lock(std::uint64_t inode, std::int32_t owner) {
  model::OnLock on;
  on.file = {ResourceKind::kFileLock, 0, inode, 0};
  on.owners = {base::Pid{owner}};
  on.description = "FLOCK WRITE 0-EOF";
  wait(WaitKind::kFileLock, {on});
  return call(kFlock, 5);
}
ThreadBuilder& ThreadBuilder::sends_to_queue(const ResourceId& queue, int fd) {
  wait(WaitKind::kMsgQueue, {OnFd{fd, queue, FdMode::kWrite}});
  return call(kMsgsnd, arg(fd), 0x7000, 100);
}
ThreadBuilder& ThreadBuilder::reads_eventfd(std::uint64_t id, int fd) {
  wait(WaitKind::kEventFd, {OnFd{fd, eventfd_id(id), FdMode::kRead}});
  return call(kRead, arg(fd), 0x7000, 8);
}
ThreadBuilder& ThreadBuilder::connects(std::uint64_t inode, int fd) {
  wait(WaitKind::kConnect, {OnFd{fd, unix_id(inode), FdMode::kWrite}});
  return call(kConnect, arg(fd));
}
ThreadBuilder& ThreadBuilder::waits_for_vfork(std::int32_t pid) {
  wait(WaitKind::kVfork, {model::OnTask{base::Pid{pid}}});
  get().state = 'D';
  return call(kVfork);
}
ThreadBuilder& ThreadBuilder::opens_fifo(std::uint64_t inode, FdMode direction) {
  const ResourceId fifo{ResourceKind::kFifo, 1, inode, 0};
  tree_.resource(fifo).label = "/tmp/fifo";
  wait(WaitKind::kFifoOpen, {OnFd{-1, fifo, direction}});
  return call(kOpenat);
}
ThreadBuilder& ThreadBuilder::sleeps(base::Nanoseconds how_long) {
  wait(WaitKind::kSleep, {});
  get().wait.timeout = how_long;
  return call(kClockNanosleep);
}
ThreadBuilder& ThreadBuilder::accepts() {
  wait(WaitKind::kAccept, {model::OnOutside{"any client that connects"}});
  return call(kAccept, 3);
}
ThreadBuilder& ThreadBuilder::reads_terminal() {
  wait(WaitKind::kTtyRead, {model::OnOutside{"the terminal's user"}});
  return call(kRead, 0);
}
ThreadBuilder& ThreadBuilder::waits_for_signal() {
  wait(WaitKind::kSignalWait, {model::OnSignal{}});
  return call(kRtSigtimedwait);
}
ThreadBuilder& ThreadBuilder::runs() {
  wait(WaitKind::kRunning, {});
  get().state = 'R';
  get().syscall = model::unknown("running");
  return *this;
}
ThreadBuilder& ThreadBuilder::is_stopped() {
  get().wait.kind = WaitKind::kStopped;
  get().state = 'T';
  return *this;
}
ThreadBuilder& ThreadBuilder::waits_for_unknown(std::string because) {
  wait(WaitKind::kOther, {model::OnUnknown{because}});
  get().syscall = model::unknown(std::move(because));
  return *this;
}
ThreadBuilder& ThreadBuilder::timeout(base::Nanoseconds timeout) {
  get().wait.timeout = timeout;
  return *this;
}
ThreadBuilder& ThreadBuilder::remaining(base::Nanoseconds left) {
  get().wait.remaining = left;
  return *this;
}
ThreadBuilder& ThreadBuilder::runtime_deadline(base::Nanoseconds left) {
  get().runtime_deadline = left;
  return *this;
}
ThreadBuilder& ThreadBuilder::polling(std::string text) {
  get().wait.polling = true;
  get().wait.polling_text = std::move(text);
  return *this;
}
ThreadBuilder& ThreadBuilder::since(base::Nanoseconds how_long) {
  get().waiting_since = kSampleTime + -how_long;
  return *this;
}
ThreadBuilder& ThreadBuilder::moved(std::uint64_t switches, std::uint64_t ticks) {
  tree_.motions_.push_back({tid_, switches, ticks});
  return *this;
}
ThreadBuilder& ThreadBuilder::python(std::string function, std::string file, int line) {
  get().python.push_back({std::move(function), std::move(file), line});
  return *this;
}
ThreadBuilder& ThreadBuilder::native(std::string function, std::string module) {
  model::NativeFrame frame;
  frame.function = std::move(function);
  frame.module = std::move(module);
  get().stack.push_back(std::move(frame));
  return *this;
}

// ---- processes ----------------------------------------------------------------------------------

model::Process& ProcessBuilder::get() {
  return *std::ranges::find(tree_.snapshot_.processes, pid_, &model::Process::pid);
}
ProcessBuilder& ProcessBuilder::role(std::string role) {
  get().role = std::move(role);
  return *this;
}
ProcessBuilder& ProcessBuilder::child_of(std::int32_t parent) {
  get().parent = base::Pid{parent};
  return *this;
}
ProcessBuilder& ProcessBuilder::thread(std::int32_t tid, std::string comm) {
  model::Thread thread;
  thread.tid = base::Tid{tid};
  thread.comm = comm.empty() ? get().comm : std::move(comm);
  thread.state = 'S';
  thread.start_time = 100;
  thread.counters = {10, 1, 5};
  get().threads.push_back(std::move(thread));
  tree_.thread(tid).waits_on_condition();
  return *this;
}
ProcessBuilder& ProcessBuilder::pipe(std::uint64_t inode, int fd, FdMode mode, bool nonblocking) {
  get().fds->push_back({fd, pipe_id(inode), mode, nonblocking, false, "pipe"});
  tree_.resource(pipe_id(inode)).holders.push_back({pid_, fd, mode});
  return *this;
}
ProcessBuilder& ProcessBuilder::unix_socket(std::uint64_t inode, int fd, std::uint64_t peer) {
  get().fds->push_back({fd, unix_id(inode), FdMode::kBoth, false, false, "socket"});
  model::Resource& resource = tree_.resource(unix_id(inode));
  resource.holders.push_back({pid_, fd, FdMode::kBoth});
  resource.peer = unix_id(peer);
  return *this;
}
ProcessBuilder& ProcessBuilder::unaccepted(std::uint64_t inode, int fd, std::uint64_t peer,
                                           std::int32_t listener) {
  unix_socket(inode, fd, peer);
  model::Resource& other = tree_.resource(unix_id(peer));
  other.unaccepted = true;
  other.holders.push_back({base::Pid{listener}, 3, FdMode::kBoth});
  return *this;
}
ProcessBuilder& ProcessBuilder::holds(const ResourceId& id, int fd, FdMode mode) {
  get().fds->push_back({fd, id, mode, false, false, ""});
  tree_.resource(id).holders.push_back({pid_, fd, mode});
  return *this;
}
ProcessBuilder& ProcessBuilder::catches(const std::vector<int>& signals) {
  std::uint64_t mask = 0;
  for (const int signo : signals) mask |= std::uint64_t{1} << static_cast<unsigned>(signo - 1);
  get().caught_signals = mask;
  return *this;
}
ProcessBuilder& ProcessBuilder::tty(int fd) {
  get().fds->push_back(
      {fd, {ResourceKind::kTty, 1, 3, 0}, FdMode::kBoth, false, false, "/dev/pts/0"});
  get().terminal = 34816;
  return *this;
}
ProcessBuilder& ProcessBuilder::output_tail(int fd, std::string path, std::string last_line) {
  get().output_tails.push_back({fd, std::move(path), std::move(last_line)});
  return *this;
}
ProcessBuilder& ProcessBuilder::zombie() {
  get().state = 'Z';
  for (model::Thread& thread : get().threads) thread.state = 'Z';
  return *this;
}
ProcessBuilder& ProcessBuilder::outside_the_tree() {
  get().in_tree = false;
  return *this;
}
ProcessBuilder& ProcessBuilder::group(std::int32_t process_group, std::int32_t foreground) {
  get().process_group = process_group;
  get().terminal_foreground = foreground;
  return *this;
}

// ---- the whole ----------------------------------------------------------------------------------

ProcessBuilder SnapshotBuilder::process(std::int32_t pid, std::string comm) {
  model::Process process;
  process.pid = base::Pid{pid};
  process.parent = base::Pid{1};
  process.state = 'S';
  process.comm = std::move(comm);
  process.start_time = 100;
  process.address_space = static_cast<std::uint64_t>(pid);
  process.fds = std::vector<model::FdEntry>{};
  process.caught_signals = std::uint64_t{0};
  const auto at =
      std::ranges::lower_bound(snapshot_.processes, process.pid, {}, &model::Process::pid);
  snapshot_.processes.insert(at, std::move(process));
  ProcessBuilder builder(*this, base::Pid{pid});
  builder.thread(pid);
  return builder;
}

ThreadBuilder SnapshotBuilder::thread(std::int32_t tid) {
  return {*this, base::Tid{tid}};
}

model::Resource& SnapshotBuilder::resource(const ResourceId& id) {
  const auto [at, added] = snapshot_.resources.try_emplace(id);
  if (added) {
    at->second.id = id;
    at->second.holders_complete = true;
  }
  return at->second;
}

SnapshotBuilder& SnapshotBuilder::full_pipe(std::uint64_t inode, std::uint64_t queued) {
  model::Resource& pipe = resource(pipe_id(inode));
  pipe.capacity = 65'536U;
  pipe.queued = queued;
  pipe.full = true;
  return *this;
}
SnapshotBuilder& SnapshotBuilder::unasked_pipe(std::uint64_t inode) {
  resource(pipe_id(inode)).full = model::unknown("no ptrace permission");
  return *this;
}
SnapshotBuilder& SnapshotBuilder::full_unix(std::uint64_t inode) {
  resource(unix_id(inode)).full = true;
  return *this;
}
SnapshotBuilder& SnapshotBuilder::incomplete(std::uint64_t pipe_inode, std::string because) {
  model::Resource& pipe = resource(pipe_id(pipe_inode));
  pipe.holders_complete = false;
  pipe.incomplete_because = std::move(because);
  return *this;
}

SnapshotBuilder::Samples SnapshotBuilder::samples(base::Nanoseconds gap) const {
  Samples samples{snapshot_, snapshot_};
  samples.now.taken_at = kSampleTime;
  samples.before.taken_at = kSampleTime + -gap;
  for (auto* snapshot : {&samples.before, &samples.now}) {
    for (auto& [id, resource] : snapshot->resources) std::ranges::sort(resource.holders);
  }
  for (const Motion& motion : motions_) {
    for (model::Process& process : samples.now.processes) {
      for (model::Thread& thread : process.threads) {
        if (thread.tid != motion.tid) continue;
        thread.counters.voluntary_switches += motion.switches;
        thread.counters.cpu_ticks += motion.ticks;
      }
    }
  }
  return samples;
}

}  // namespace stucktrace::test
