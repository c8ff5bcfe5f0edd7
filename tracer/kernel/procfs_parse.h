#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "syscalls/decode.h"
#include "tracer/base/ids.h"
#include "tracer/base/result.h"
#include "tracer/model/resource.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::kernel {

// Text of /proc files -> structs. Pure; hostile input gives a malformed Error or skips a line,
// never reads outside the text. Formats: proc(5).

struct TaskStat {  // /proc/PID/stat
  std::int32_t pid = 0;
  std::string comm;  // raw bytes between the outer parentheses
  char state = '?';
  std::int32_t parent = 0;
  std::int32_t process_group = 0;
  std::int32_t session = 0;
  std::int32_t tty = 0;
  std::int32_t tty_foreground = 0;
  std::uint64_t flags = 0;  // PF_*; PF_KTHREAD 0x00200000 marks a kernel thread
  std::uint64_t user_ticks = 0;
  std::uint64_t system_ticks = 0;
  std::int64_t thread_count = 0;
  std::uint64_t start_time = 0;  // ticks since boot
  std::int32_t processor = -1;   // field 39
};
base::Result<TaskStat> parse_stat(std::string_view text);

struct TaskStatus {  // /proc/PID/status
  std::int32_t tgid = 0;
  std::int32_t tracer = 0;
  std::uint32_t uid = 0;  // real
  std::vector<std::int32_t> ns_pids;
  std::uint64_t voluntary_switches = 0;
  std::uint64_t involuntary_switches = 0;
  std::uint64_t sig_blocked = 0, sig_ignored = 0, sig_caught = 0, cap_effective = 0;
  int seccomp = 0;
  std::uint64_t pending = 0;         // SigPnd: of the thread
  std::uint64_t shared_pending = 0;  // ShdPnd: of the process
};
base::Result<TaskStatus> parse_status(std::string_view text);

// /proc/TID/syscall. nullopt for "running".
base::Result<std::optional<model::SyscallLine>> parse_syscall(std::string_view text);

struct FdInfo {  // /proc/PID/fdinfo/N
  std::uint64_t position = 0;
  std::uint32_t flags = 0;  // open flags, octal in the text
  std::optional<std::uint64_t> inode;
  struct EpollTarget {
    int fd = -1;
    std::uint32_t events = 0;
    std::uint64_t data = 0;
    std::uint64_t inode = 0;
    std::uint64_t device = 0;
  };
  std::vector<EpollTarget> epoll;
  std::optional<std::int32_t> pidfd_pid;  // -1: reaped
  std::optional<std::uint64_t> eventfd_count;
  std::optional<std::uint64_t> eventfd_id;
  std::optional<std::uint64_t> timerfd_value_ns;  // remaining; 0 = disarmed
  std::optional<std::uint64_t> timerfd_interval_ns;
  std::optional<std::uint64_t> signal_mask;
  std::optional<std::int32_t> tty_index;
  // Unix sockets: descriptors sent to it (SCM_RIGHTS) and not received yet. Linux 5.6.
  std::optional<std::uint64_t> unreceived_fds;
  // An io_uring's registered files: how many places there are for them, and the links of those that
  // are told, as in /proc/PID/fd. A kernel that finds the ring in use tells neither.
  std::optional<std::uint64_t> registered_files;
  std::vector<std::string> registered_links;
  struct Lock {
    std::string type;  // FLOCK POSIX OFDLCK LEASE
    std::string mode;  // READ WRITE
    std::int32_t pid = 0;
    std::uint64_t device_major = 0, device_minor = 0, inode = 0;
    std::uint64_t start = 0;
    std::optional<std::uint64_t> end;  // nullopt = EOF
    bool waiting = false;              // "->" line
    std::uint64_t id = 0;              // the number before the colon
  };
  std::vector<Lock> locks;
};
FdInfo parse_fdinfo(std::string_view text);
std::vector<FdInfo::Lock> parse_locks(std::string_view text);  // /proc/locks

struct MapEntry {  // /proc/PID/maps
  std::uint64_t start = 0, end = 0;
  bool readable = false, writable = false, executable = false, shared = false;
  std::uint64_t offset = 0;
  std::uint32_t device_major = 0, device_minor = 0;
  std::uint64_t inode = 0;
  std::string path;  // raw bytes, octal escapes undone; "" anonymous
};
std::vector<MapEntry> parse_maps(std::string_view text);

// readlink text of /proc/PID/fd/N: "pipe:[123]", "socket:[4]", "anon_inode:[eventpoll]", a path.
// Kind and inode as far as the text tells; a path gives kUnknown (stat it).
model::ResourceId parse_fd_link(std::string_view link);

}  // namespace stucktrace::kernel
