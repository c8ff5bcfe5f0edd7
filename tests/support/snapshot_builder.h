#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tracer/model/snapshot.h"

namespace stucktrace::test {

// Hand-made snapshots, in the words of the case they describe:
//
//   SnapshotBuilder tree;
//   tree.process(10, "python3").role("P1").pipe(7, 3, FdMode::kRead);
//   tree.process(20, "python3").child_of(10).pipe(7, 4, FdMode::kWrite);
//   tree.thread(10).waits_for_child(20).timeout(5s);
//   tree.thread(20).writes_pipe(7, 4, 200'000);
//   tree.full_pipe(7);
//   const auto [before, now] = tree.samples();
//
// Processes get a main thread; holders are filled in from the descriptors; every process may be
// read unless said otherwise.
class SnapshotBuilder;

class ThreadBuilder {
 public:
  ThreadBuilder(SnapshotBuilder& tree, base::Tid tid) : tree_(tree), tid_(tid) {}

  ThreadBuilder& name(std::string name);
  // write(2) of `bytes` blocked on the pipe.
  ThreadBuilder& writes_pipe(std::uint64_t inode, int fd, std::uint64_t bytes = 100'000);
  ThreadBuilder& reads_pipe(std::uint64_t inode, int fd);
  ThreadBuilder& writes_unix(std::uint64_t inode, int fd, std::uint64_t bytes = 100'000);
  ThreadBuilder& reads_unix(std::uint64_t inode, int fd);
  // poll(2) of these; none = a sleep in poll().
  ThreadBuilder& polls(std::vector<model::OnFd> fds);
  ThreadBuilder& waits_for_child(std::int32_t pid, bool reports_stops = false);
  ThreadBuilder& waits_for_children(const std::vector<std::int32_t>& pids);
  // A futex nothing is known about: condition, semaphore, a runtime's lock.
  ThreadBuilder& waits_on_condition(std::uint64_t address = 0x1000);
  ThreadBuilder& waits_on_shared_futex(std::uint64_t inode,
                                       const std::vector<std::int32_t>& sharers);
  ThreadBuilder& waits_for_lock(std::uint64_t address, std::int32_t owner, bool alive = true);
  ThreadBuilder& joins(std::int32_t tid);
  ThreadBuilder& waits_for_file_lock(std::uint64_t inode, std::int32_t owner);
  // msgsnd(2) or mq_send(3) on a queue, by its id or descriptor.
  ThreadBuilder& sends_to_queue(const model::ResourceId& queue, int fd);
  ThreadBuilder& reads_eventfd(std::uint64_t id, int fd);
  ThreadBuilder& connects(std::uint64_t inode, int fd);
  ThreadBuilder& waits_for_vfork(std::int32_t pid);
  ThreadBuilder& opens_fifo(std::uint64_t inode, model::FdMode direction);
  ThreadBuilder& sleeps(base::Nanoseconds how_long);
  ThreadBuilder& accepts();
  ThreadBuilder& reads_terminal();
  ThreadBuilder& waits_for_signal();
  ThreadBuilder& runs();
  ThreadBuilder& is_stopped();
  ThreadBuilder& waits_for_unknown(std::string because);

  ThreadBuilder& timeout(base::Nanoseconds timeout);
  ThreadBuilder& remaining(base::Nanoseconds left);
  ThreadBuilder& runtime_deadline(base::Nanoseconds left);
  ThreadBuilder& polling(std::string text);
  // How long before the newer sample the wait began.
  ThreadBuilder& since(base::Nanoseconds how_long);
  // What happened between the two samples.
  ThreadBuilder& moved(std::uint64_t switches, std::uint64_t ticks = 0);
  ThreadBuilder& python(std::string function, std::string file, int line = 1);  // inner to outer
  ThreadBuilder& native(std::string function, std::string module = "libc.so.6");

  model::Thread& get();

 private:
  ThreadBuilder& wait(model::WaitKind kind, std::vector<model::WaitOn> on);
  ThreadBuilder& call(std::int64_t number, std::uint64_t a0 = 0, std::uint64_t a1 = 0,
                      std::uint64_t a2 = 0);
  SnapshotBuilder& tree_;
  base::Tid tid_;
};

class ProcessBuilder {
 public:
  ProcessBuilder(SnapshotBuilder& tree, base::Pid pid) : tree_(tree), pid_(pid) {}

  ProcessBuilder& role(std::string role);
  ProcessBuilder& child_of(std::int32_t parent);
  ProcessBuilder& thread(std::int32_t tid, std::string comm = "");
  ProcessBuilder& pipe(std::uint64_t inode, int fd, model::FdMode mode, bool nonblocking = false);
  ProcessBuilder& unix_socket(std::uint64_t inode, int fd, std::uint64_t peer);
  // An end whose other end lies in this listener's backlog, unaccepted.
  ProcessBuilder& unaccepted(std::uint64_t inode, int fd, std::uint64_t peer,
                             std::int32_t listener);
  ProcessBuilder& holds(const model::ResourceId& id, int fd, model::FdMode mode);
  ProcessBuilder& catches(const std::vector<int>& signals);
  ProcessBuilder& tty(int fd);
  ProcessBuilder& output_tail(int fd, std::string path, std::string last_line);
  ProcessBuilder& zombie();
  ProcessBuilder& outside_the_tree();
  ProcessBuilder& group(std::int32_t process_group, std::int32_t foreground);

  model::Process& get();

 private:
  SnapshotBuilder& tree_;
  base::Pid pid_;
};

class SnapshotBuilder {
 public:
  struct Samples {
    model::Snapshot before;
    model::Snapshot now;
  };

  ProcessBuilder process(std::int32_t pid, std::string comm);
  // The thread with this tid; a main thread by its pid.
  ThreadBuilder thread(std::int32_t tid);

  SnapshotBuilder& full_pipe(std::uint64_t inode, std::uint64_t queued = 65'536);
  // Nobody was allowed to ask whether it is full.
  SnapshotBuilder& unasked_pipe(std::uint64_t inode);
  SnapshotBuilder& full_unix(std::uint64_t inode);
  SnapshotBuilder& incomplete(std::uint64_t pipe_inode, std::string because);
  model::Resource& resource(const model::ResourceId& id);

  // Two samples `gap` apart; what moved() says lies between them.
  Samples samples(base::Nanoseconds gap = std::chrono::milliseconds(200)) const;

 private:
  friend class ThreadBuilder;
  friend class ProcessBuilder;
  model::Snapshot snapshot_;
  struct Motion {
    base::Tid tid;
    std::uint64_t switches = 0;
    std::uint64_t ticks = 0;
  };
  std::vector<Motion> motions_;
};

model::ResourceId pipe_id(std::uint64_t inode);
model::ResourceId unix_id(std::uint64_t inode);
model::ResourceId eventfd_id(std::uint64_t id);
model::ResourceId queue_id(std::uint64_t inode);  // POSIX
model::ResourceId sysv_queue_id(std::uint64_t id);
model::OnFd on_pipe(std::uint64_t inode, int fd, model::FdMode direction);

// The instant of the newer sample.
constexpr base::Instant kSampleTime{std::chrono::seconds(1000)};

}  // namespace stucktrace::test
