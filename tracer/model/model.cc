#include <fmt/format.h>

#include <algorithm>

#include "tracer/model/resource.h"
#include "tracer/model/snapshot.h"
#include "tracer/model/verdict.h"

namespace stucktrace::model {

std::string_view kind_word(ResourceKind kind) {
  switch (kind) {
    case ResourceKind::kUnknown:
      return "unknown";
    case ResourceKind::kPipe:
      return "pipe";
    case ResourceKind::kFifo:
      return "fifo";
    case ResourceKind::kUnixSocket:
      return "unix";
    case ResourceKind::kTcpSocket:
      return "tcp";
    case ResourceKind::kOtherSocket:
      return "socket";
    case ResourceKind::kTty:
      return "tty";
    case ResourceKind::kPtyMaster:
      return "pty-master";
    case ResourceKind::kRegularFile:
      return "file";
    case ResourceKind::kDirectory:
      return "directory";
    case ResourceKind::kCharDevice:
      return "device";
    case ResourceKind::kBlockDevice:
      return "block-device";
    case ResourceKind::kEventFd:
      return "eventfd";
    case ResourceKind::kTimerFd:
      return "timerfd";
    case ResourceKind::kSignalFd:
      return "signalfd";
    case ResourceKind::kEpoll:
      return "epoll";
    case ResourceKind::kPidFd:
      return "pidfd";
    case ResourceKind::kInotify:
      return "inotify";
    case ResourceKind::kIoUring:
      return "io-uring";
    case ResourceKind::kMessageQueue:
      return "mqueue";
    case ResourceKind::kMemFd:
      return "memfd";
    case ResourceKind::kOtherAnon:
      return "anon";
    case ResourceKind::kFutex:
      return "futex";
    case ResourceKind::kFileLock:
      return "file-lock";
    case ResourceKind::kSysvSemaphore:
      return "semaphore";
    case ResourceKind::kSysvQueue:
      return "message-queue";
  }
  return "unknown";
}

std::string to_string(const ResourceId& id) {
  if (id.kind == ResourceKind::kFutex) {
    if (id.offset == 0 && id.device != 0 && id.device < (1ULL << 32)) {
      return fmt::format("futex:{}:0x{:x}", id.device, id.inode);
    }
    return fmt::format("futex:{:x}:{}+0x{:x}", id.device, id.inode, id.offset);
  }
  if (id.device == 0) return fmt::format("{}:{}", kind_word(id.kind), id.inode);
  return fmt::format("{}:{:x}:{}", kind_word(id.kind), id.device, id.inode);
}

std::string_view to_string(WaitKind kind) {
  switch (kind) {
    case WaitKind::kRunning:
      return "running";
    case WaitKind::kPipeWrite:
      return "pipe-write";
    case WaitKind::kPipeRead:
      return "pipe-read";
    case WaitKind::kFifoOpen:
      return "fifo-open";
    case WaitKind::kUnixWrite:
      return "unix-write";
    case WaitKind::kUnixRead:
      return "unix-read";
    case WaitKind::kTcpWrite:
      return "tcp-write";
    case WaitKind::kTcpRead:
      return "tcp-read";
    case WaitKind::kAccept:
      return "accept";
    case WaitKind::kConnect:
      return "connect";
    case WaitKind::kTtyRead:
      return "tty-read";
    case WaitKind::kTtyWrite:
      return "tty-write";
    case WaitKind::kFutex:
      return "futex";
    case WaitKind::kThreadJoin:
      return "thread-join";
    case WaitKind::kChildWait:
      return "child-wait";
    case WaitKind::kFileLock:
      return "file-lock";
    case WaitKind::kSemaphore:
      return "semaphore";
    case WaitKind::kMsgQueue:
      return "msgqueue";
    case WaitKind::kEventFd:
      return "eventfd";
    case WaitKind::kMultiplex:
      return "multiplex";
    case WaitKind::kSleep:
      return "sleep";
    case WaitKind::kSignalWait:
      return "signal-wait";
    case WaitKind::kIoUring:
      return "io-uring";
    case WaitKind::kDisk:
      return "disk";
    case WaitKind::kStopped:
      return "stopped";
    case WaitKind::kVfork:
      return "vfork";
    case WaitKind::kOther:
      return "other";
  }
  return "other";
}

std::string_view to_string(EndedProcess::Known known) {
  switch (known) {
    case EndedProcess::Known::kTraced:
      return "traced";
    case EndedProcess::Known::kBelow:
      return "below";
    case EndedProcess::Known::kGroup:
      return "control-group";
  }
  return "";
}

std::string_view to_string(Certainty certainty) {
  switch (certainty) {
    case Certainty::kProven:
      return "proven";
    case Certainty::kUntil:
      return "until";
    case Certainty::kLikely:
      return "likely";
  }
  return "likely";
}

std::string_view to_string(ThreadVerdict verdict) {
  switch (verdict) {
    case ThreadVerdict::kRunning:
      return "running";
    case ThreadVerdict::kWaiting:
      return "waiting";
    case ThreadVerdict::kSlow:
      return "slow";
    case ThreadVerdict::kStopped:
      return "stopped";
    case ThreadVerdict::kStuck:
      return "stuck";
  }
  return "waiting";
}

const Process* Snapshot::find(base::Pid pid) const {
  const auto at = std::ranges::lower_bound(processes, pid, {}, &Process::pid);
  return at != processes.end() && at->pid == pid ? &*at : nullptr;
}

const Thread* Snapshot::find_thread(base::Tid tid, const Process** owner) const {
  for (const Process& process : processes) {
    for (const Thread& thread : process.threads) {
      if (thread.tid != tid) continue;
      if (owner != nullptr) *owner = &process;
      return &thread;
    }
  }
  return nullptr;
}

}  // namespace stucktrace::model
