#include <array>
#include <cstddef>

#include "syscalls/flags.h"

namespace stucktrace::syscalls {
namespace {

// clang-format off
constexpr Constant kAccess[] = {
#include "syscalls/flags/access.inc"
};
constexpr Constant kArchPrctl[] = {
#include "syscalls/flags/arch_prctl.inc"
};
constexpr Constant kAt[] = {
#include "syscalls/flags/at.inc"
};
constexpr Constant kBpf[] = {
#include "syscalls/flags/bpf.inc"
};
constexpr Constant kClock[] = {
#include "syscalls/flags/clock.inc"
};
constexpr Constant kCloexec[] = {
#include "syscalls/flags/cloexec.inc"
};
constexpr Constant kClone[] = {
#include "syscalls/flags/clone.inc"
};
constexpr Constant kCloseRange[] = {
#include "syscalls/flags/close_range.inc"
};
constexpr Constant kCmsgType[] = {
#include "syscalls/flags/cmsg_type.inc"
};
constexpr Constant kEpollCreate[] = {
#include "syscalls/flags/epoll_create.inc"
};
constexpr Constant kEpollEvent[] = {
#include "syscalls/flags/epoll_event.inc"
};
constexpr Constant kEpollOp[] = {
#include "syscalls/flags/epoll_op.inc"
};
constexpr Constant kEventfd[] = {
#include "syscalls/flags/eventfd.inc"
};
constexpr Constant kFadvise[] = {
#include "syscalls/flags/fadvise.inc"
};
constexpr Constant kFallocate[] = {
#include "syscalls/flags/fallocate.inc"
};
constexpr Constant kFcntl[] = {
#include "syscalls/flags/fcntl.inc"
};
constexpr Constant kFdFlags[] = {
#include "syscalls/flags/fd_flags.inc"
};
constexpr Constant kFlock[] = {
#include "syscalls/flags/flock.inc"
};
constexpr Constant kFutex2[] = {
#include "syscalls/flags/futex2.inc"
};
constexpr Constant kFutexOp[] = {
#include "syscalls/flags/futex_op.inc"
};
constexpr Constant kGetrandom[] = {
#include "syscalls/flags/getrandom.inc"
};
constexpr Constant kInotifyInit[] = {
#include "syscalls/flags/inotify_init.inc"
};
constexpr Constant kInotifyMask[] = {
#include "syscalls/flags/inotify_mask.inc"
};
constexpr Constant kIoUringEnter[] = {
#include "syscalls/flags/io_uring_enter.inc"
};
constexpr Constant kIoctl[] = {
#include "syscalls/flags/ioctl.inc"
};
constexpr Constant kIpOption[] = {
#include "syscalls/flags/ip_option.inc"
};
constexpr Constant kIpProtocol[] = {
#include "syscalls/flags/ip_protocol.inc"
};
constexpr Constant kIpcCmd[] = {
#include "syscalls/flags/ipc_cmd.inc"
};
constexpr Constant kIpcGet[] = {
#include "syscalls/flags/ipc_get.inc"
};
constexpr Constant kIpv6Option[] = {
#include "syscalls/flags/ipv6_option.inc"
};
constexpr Constant kItimer[] = {
#include "syscalls/flags/itimer.inc"
};
constexpr Constant kKcmp[] = {
#include "syscalls/flags/kcmp.inc"
};
constexpr Constant kLockType[] = {
#include "syscalls/flags/lock_type.inc"
};
constexpr Constant kMadvise[] = {
#include "syscalls/flags/madvise.inc"
};
constexpr Constant kMap[] = {
#include "syscalls/flags/map.inc"
};
constexpr Constant kMembarrier[] = {
#include "syscalls/flags/membarrier.inc"
};
constexpr Constant kMemfd[] = {
#include "syscalls/flags/memfd.inc"
};
constexpr Constant kMlockall[] = {
#include "syscalls/flags/mlockall.inc"
};
constexpr Constant kMount[] = {
#include "syscalls/flags/mount.inc"
};
constexpr Constant kMremap[] = {
#include "syscalls/flags/mremap.inc"
};
constexpr Constant kMsg[] = {
#include "syscalls/flags/msg.inc"
};
constexpr Constant kMsgCmd[] = {
#include "syscalls/flags/msg_cmd.inc"
};
constexpr Constant kMsgIpc[] = {
#include "syscalls/flags/msg_ipc.inc"
};
constexpr Constant kMsync[] = {
#include "syscalls/flags/msync.inc"
};
constexpr Constant kNetlink[] = {
#include "syscalls/flags/netlink.inc"
};
constexpr Constant kOpen[] = {
#include "syscalls/flags/open.inc"
};
constexpr Constant kOpenTree[] = {
#include "syscalls/flags/open_tree.inc"
};
constexpr Constant kPidfd[] = {
#include "syscalls/flags/pidfd.inc"
};
constexpr Constant kPipe[] = {
#include "syscalls/flags/pipe.inc"
};
constexpr Constant kPoll[] = {
#include "syscalls/flags/poll.inc"
};
constexpr Constant kPrctl[] = {
#include "syscalls/flags/prctl.inc"
};
constexpr Constant kPriority[] = {
#include "syscalls/flags/priority.inc"
};
constexpr Constant kProt[] = {
#include "syscalls/flags/prot.inc"
};
constexpr Constant kPtrace[] = {
#include "syscalls/flags/ptrace.inc"
};
constexpr Constant kRename[] = {
#include "syscalls/flags/rename.inc"
};
constexpr Constant kResolve[] = {
#include "syscalls/flags/resolve.inc"
};
constexpr Constant kRlimit[] = {
#include "syscalls/flags/rlimit.inc"
};
constexpr Constant kRusage[] = {
#include "syscalls/flags/rusage.inc"
};
constexpr Constant kRwf[] = {
#include "syscalls/flags/rwf.inc"
};
constexpr Constant kSched[] = {
#include "syscalls/flags/sched.inc"
};
constexpr Constant kSeals[] = {
#include "syscalls/flags/seals.inc"
};
constexpr Constant kSeccomp[] = {
#include "syscalls/flags/seccomp.inc"
};
constexpr Constant kSemCmd[] = {
#include "syscalls/flags/sem_cmd.inc"
};
constexpr Constant kSemFlags[] = {
#include "syscalls/flags/sem_flags.inc"
};
constexpr Constant kShmAt[] = {
#include "syscalls/flags/shm_at.inc"
};
constexpr Constant kShmGet[] = {
#include "syscalls/flags/shm_get.inc"
};
constexpr Constant kShutdown[] = {
#include "syscalls/flags/shutdown.inc"
};
constexpr Constant kSiCode[] = {
#include "syscalls/flags/si_code.inc"
};
constexpr Constant kSiCodeChild[] = {
#include "syscalls/flags/si_code_child.inc"
};
constexpr Constant kSigHow[] = {
#include "syscalls/flags/sig_how.inc"
};
constexpr Constant kSigaction[] = {
#include "syscalls/flags/sigaction.inc"
};
constexpr Constant kSignalfd[] = {
#include "syscalls/flags/signalfd.inc"
};
constexpr Constant kSoOption[] = {
#include "syscalls/flags/so_option.inc"
};
constexpr Constant kSockFamily[] = {
#include "syscalls/flags/sock_family.inc"
};
constexpr Constant kSockFlags[] = {
#include "syscalls/flags/sock_flags.inc"
};
constexpr Constant kSockLevel[] = {
#include "syscalls/flags/sock_level.inc"
};
constexpr Constant kSockType[] = {
#include "syscalls/flags/sock_type.inc"
};
constexpr Constant kSplice[] = {
#include "syscalls/flags/splice.inc"
};
constexpr Constant kTcpOption[] = {
#include "syscalls/flags/tcp_option.inc"
};
constexpr Constant kTimer[] = {
#include "syscalls/flags/timer.inc"
};
constexpr Constant kTimerfd[] = {
#include "syscalls/flags/timerfd.inc"
};
constexpr Constant kTimerfdSettime[] = {
#include "syscalls/flags/timerfd_settime.inc"
};
constexpr Constant kUmount[] = {
#include "syscalls/flags/umount.inc"
};
constexpr Constant kUnlink[] = {
#include "syscalls/flags/unlink.inc"
};
constexpr Constant kWait[] = {
#include "syscalls/flags/wait.inc"
};
constexpr Constant kWaitid[] = {
#include "syscalls/flags/waitid.inc"
};
constexpr Constant kWhence[] = {
#include "syscalls/flags/whence.inc"
};
constexpr Constant kXattr[] = {
#include "syscalls/flags/xattr.inc"
};
// clang-format on

constexpr ConstantSet one_of(std::span<const Constant> constants) {
  return {constants, false, false};
}
constexpr ConstantSet any_of(std::span<const Constant> constants) {
  return {constants, true, false};
}
constexpr ConstantSet any_of_wide(std::span<const Constant> constants) {
  return {constants, true, true};
}

struct KindSet {
  ArgKind kind;
  ConstantSet set;
};

constexpr KindSet kKindSets[] = {
    {ArgKind::kOpenFlags, any_of(kOpen)},
    {ArgKind::kAccessMode, any_of(kAccess)},
    {ArgKind::kAtFlags, any_of(kAt)},
    {ArgKind::kUnlinkFlags, any_of(kUnlink)},
    {ArgKind::kWhence, one_of(kWhence)},
    {ArgKind::kFcntlCmd, one_of(kFcntl)},
    {ArgKind::kFlockOp, any_of(kFlock)},
    {ArgKind::kCloexecFlags, any_of(kCloexec)},
    {ArgKind::kPipeFlags, any_of(kPipe)},
    {ArgKind::kCloseRangeFlags, any_of(kCloseRange)},
    {ArgKind::kSpliceFlags, any_of(kSplice)},
    {ArgKind::kRwfFlags, any_of(kRwf)},
    {ArgKind::kRenameFlags, any_of(kRename)},
    {ArgKind::kXattrFlags, any_of(kXattr)},
    {ArgKind::kFallocateMode, any_of(kFallocate)},
    {ArgKind::kFadvise, one_of(kFadvise)},
    {ArgKind::kMemfdFlags, any_of(kMemfd)},
    {ArgKind::kEventfdFlags, any_of(kEventfd)},
    {ArgKind::kSignalfdFlags, any_of(kSignalfd)},
    {ArgKind::kInotifyFlags, any_of(kInotifyInit)},
    {ArgKind::kInotifyMask, any_of(kInotifyMask)},
    {ArgKind::kGetrandomFlags, any_of(kGetrandom)},
    {ArgKind::kMountFlags, any_of_wide(kMount)},
    {ArgKind::kUmountFlags, any_of(kUmount)},
    {ArgKind::kOpenTreeFlags, any_of(kOpenTree)},
    {ArgKind::kIoUringEnterFlags, any_of(kIoUringEnter)},
    {ArgKind::kProt, any_of_wide(kProt)},
    {ArgKind::kMapFlags, any_of_wide(kMap)},
    {ArgKind::kMremapFlags, any_of(kMremap)},
    {ArgKind::kMsyncFlags, any_of(kMsync)},
    {ArgKind::kMlockallFlags, any_of(kMlockall)},
    {ArgKind::kMadvise, one_of(kMadvise)},
    {ArgKind::kSockFamily, one_of(kSockFamily)},
    {ArgKind::kSockType, any_of(kSockType)},
    {ArgKind::kSockFlags, any_of(kSockFlags)},
    {ArgKind::kSockLevel, one_of(kSockLevel)},
    {ArgKind::kMsgFlags, any_of(kMsg)},
    {ArgKind::kShutdownHow, one_of(kShutdown)},
    {ArgKind::kEpollOp, one_of(kEpollOp)},
    {ArgKind::kEpollCreateFlags, any_of(kEpollCreate)},
    {ArgKind::kClockid, one_of(kClock)},
    {ArgKind::kTimerFlags, any_of(kTimer)},
    {ArgKind::kTimerfdFlags, any_of(kTimerfd)},
    {ArgKind::kTimerfdSettimeFlags, any_of(kTimerfdSettime)},
    {ArgKind::kItimerWhich, one_of(kItimer)},
    {ArgKind::kSigHow, one_of(kSigHow)},
    {ArgKind::kWaitOptions, any_of(kWait)},
    {ArgKind::kWaitidType, one_of(kWaitid)},
    {ArgKind::kCloneFlags, any_of_wide(kClone)},
    {ArgKind::kRlimitResource, one_of(kRlimit)},
    {ArgKind::kRusageWho, one_of(kRusage)},
    {ArgKind::kPriorityWhich, one_of(kPriority)},
    {ArgKind::kSchedPolicy, one_of(kSched)},
    {ArgKind::kPtraceRequest, one_of(kPtrace)},
    {ArgKind::kPrctlOption, one_of(kPrctl)},
    {ArgKind::kArchPrctlOption, one_of(kArchPrctl)},
    {ArgKind::kSeccompOp, one_of(kSeccomp)},
    {ArgKind::kBpfCmd, one_of(kBpf)},
    {ArgKind::kKcmpType, one_of(kKcmp)},
    {ArgKind::kMembarrierCmd, one_of(kMembarrier)},
    {ArgKind::kPidfdFlags, any_of(kPidfd)},
    {ArgKind::kFutexOp, any_of(kFutexOp)},
    {ArgKind::kFutex2Flags, any_of(kFutex2)},
    {ArgKind::kIpcCmd, any_of(kIpcCmd)},
    {ArgKind::kMsgIpcFlags, any_of(kMsgIpc)},
    {ArgKind::kIpcGetFlags, any_of(kIpcGet)},
    {ArgKind::kShmGetFlags, any_of(kShmGet)},
    {ArgKind::kShmAtFlags, any_of(kShmAt)},
    {ArgKind::kSemCmd, any_of(kSemCmd)},
    {ArgKind::kIoctlCmd, one_of(kIoctl)},
};

struct NamedSet {
  NameSet name;
  ConstantSet set;
};

constexpr NamedSet kNamedSets[] = {
    {NameSet::kResolve, any_of_wide(kResolve)},
    {NameSet::kLockType, one_of(kLockType)},
    {NameSet::kFdFlags, any_of(kFdFlags)},
    {NameSet::kSeals, any_of(kSeals)},
    {NameSet::kIpProtocol, one_of(kIpProtocol)},
    {NameSet::kNetlinkProtocol, one_of(kNetlink)},
    {NameSet::kSoOption, one_of(kSoOption)},
    {NameSet::kTcpOption, one_of(kTcpOption)},
    {NameSet::kIpOption, one_of(kIpOption)},
    {NameSet::kIpv6Option, one_of(kIpv6Option)},
    {NameSet::kCmsgType, one_of(kCmsgType)},
    {NameSet::kPollEvents, any_of(kPoll)},
    {NameSet::kEpollEvents, any_of(kEpollEvent)},
    {NameSet::kSigactionFlags, any_of(kSigaction)},
    {NameSet::kSiCode, one_of(kSiCode)},
    {NameSet::kSiCodeChild, one_of(kSiCodeChild)},
    {NameSet::kSemFlags, any_of(kSemFlags)},
    {NameSet::kMsgCmd, one_of(kMsgCmd)},
    {NameSet::kIoctl, one_of(kIoctl)},
};

// A set is found by its place.
static_assert([] {
  std::size_t at = 0;
  for (const NamedSet& entry : kNamedSets) {
    if (static_cast<std::size_t>(entry.name) != at++) return false;
  }
  return true;
}());

// Index by kind, so that a look-up is one load.
constexpr auto kSetOfKind = [] {
  std::array<std::uint8_t, 256> index{};
  index.fill(0xff);
  std::uint8_t at = 0;
  for (const KindSet& entry : kKindSets) index[static_cast<std::size_t>(entry.kind)] = at++;
  return index;
}();

}  // namespace

const ConstantSet& constant_set(NameSet set) {
  return kNamedSets[static_cast<std::size_t>(set)].set;
}

const ConstantSet* constant_set(ArgKind kind) {
  const std::uint8_t at = kSetOfKind[static_cast<std::size_t>(kind)];
  return at == 0xff ? nullptr : &kKindSets[at].set;
}

}  // namespace stucktrace::syscalls
