#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/model/known.h"

namespace stucktrace::model {

// What a descriptor or a wait is about.
enum class ResourceKind : std::uint8_t {
  kUnknown,
  kPipe,  // anonymous pipe
  kFifo,  // named pipe
  kUnixSocket,
  kTcpSocket,
  kOtherSocket,  // udp, netlink, packet, a family sock_diag did not tell
  kTty,          // terminal or pty slave
  kPtyMaster,
  kRegularFile,
  kDirectory,
  kCharDevice,  // /dev/null and its like
  kBlockDevice,
  kEventFd,
  kTimerFd,
  kSignalFd,
  kEpoll,
  kPidFd,
  kInotify,
  kIoUring,
  kMessageQueue,  // POSIX mq
  kMemFd,
  kOtherAnon,  // any other anon_inode
  kFutex,      // private: device = pid of the address space, inode = address;
               // shared: device, inode = of the mapped file, plus offset
  kFileLock,
  kSysvSemaphore,  // inode = semid
  kSysvQueue,      // inode = msqid
};

// Short lower-case word: "pipe", "fifo", "unix", "tcp", "futex".
std::string_view kind_word(ResourceKind kind);

// Identity of a resource, the same from every process that has it.
struct ResourceId {
  ResourceKind kind = ResourceKind::kUnknown;
  std::uint64_t device = 0;  // st_dev; 0 where the inode is unique (pipefs, sockfs)
  std::uint64_t inode = 0;
  std::uint64_t offset = 0;  // shared futexes, ranges
  auto operator<=>(const ResourceId&) const = default;
};

// "pipe:25725", "futex:0x7f12ab (pid 12)": the id in reports.
std::string to_string(const ResourceId& id);

enum class FdMode : std::uint8_t {
  kNone = 0,  // O_PATH
  kRead = 1,
  kWrite = 2,
  kBoth = 3,
};
constexpr bool reads(FdMode mode) {
  return (static_cast<unsigned>(mode) & 1U) != 0;
}
constexpr bool writes(FdMode mode) {
  return (static_cast<unsigned>(mode) & 2U) != 0;
}

// One descriptor of one process.
struct FdEntry {
  int fd = -1;
  ResourceId resource;
  FdMode mode = FdMode::kNone;
  bool nonblocking = false;  // O_NONBLOCK on the open file
  bool close_on_exec = false;
  std::string label;  // readlink text or path; raw bytes, escape before printing
  bool operator==(const FdEntry&) const = default;
};

// Who holds an end: the way to find releasers.
struct Holder {
  base::Pid pid;
  int fd = -1;
  FdMode mode = FdMode::kNone;
  auto operator<=>(const Holder&) const = default;
};

// State of a resource at the instant of a snapshot.
struct Resource {
  ResourceId id;
  std::string label;            // path, socket name; raw bytes
  std::vector<Holder> holders;  // sorted; on the whole machine where holders_complete
  // False when some process's descriptors could not be read: a holder may be missing.
  bool holders_complete = false;
  std::string incomplete_because;

  Known<std::uint64_t> capacity = unknown("not asked");  // bytes (pipes: F_GETPIPE_SZ)
  Known<std::uint64_t> queued = unknown("not asked");    // unread bytes (FIONREAD)
  // A copy of a write end polls not writable. A fact, never derived from queued == capacity: a pipe
  // is full by slots (pipe(7)).
  Known<bool> full = unknown("not asked");
  // A copy of the read end polls readable or hung up.
  Known<bool> readable = unknown("not asked");

  std::optional<ResourceId> peer;               // sockets: the other end's inode
  bool peer_outside = false;                    // tcp: the other end is not on this machine
  bool listening = false;                       // sockets that accept
  std::optional<std::uint64_t> backlog;         // listen sockets: limit
  std::optional<std::uint64_t> backlog_queued;  // listen sockets: connections not yet accepted
  // A connection that lies in its listener's backlog; `holders` are those of the listener. It has
  // no inode of its own: in its id `device` is the listener's inode, `inode` that of the other end.
  bool unaccepted = false;

  // System V: who did the last operation that counts for the waiter (on a semaphore: any; for
  // msgsnd the last receiver, for msgrcv the last sender). An inference only: anybody may be next.
  std::optional<base::Pid> last_user;
  bool last_user_alive = false;
};

}  // namespace stucktrace::model
