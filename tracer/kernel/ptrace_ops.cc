#include "tracer/kernel/ptrace_ops.h"

#include <elf.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <span>

#include "tracer/kernel/regs.h"
#include "tracer/kernel/remote_memory.h"

namespace stucktrace::kernel {

static_assert(kRequestTraceMe == PTRACE_TRACEME && kRequestAttach == PTRACE_ATTACH &&
              kRequestSeize == PTRACE_SEIZE);

namespace {

// The one place where ptrace(2)'s errno is read. glibc's prototype is variadic and its request an
// enum; the raw call takes both as the kernel does.
long request(long what, base::Tid tid, std::uintptr_t address, std::uintptr_t data) {
  return syscall(SYS_ptrace, what, tid.value(), address, data);
}

base::Result<void> check(long returned, const char* operation, base::Tid tid) {
  if (returned >= 0) return {};
  return base::system_error(operation, base::Errno::last(), tid);
}

std::uintptr_t bits_of(TraceeOptions options) {
  std::uintptr_t bits = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                        PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
  if (options.seccomp_stops) bits |= PTRACE_O_TRACESECCOMP;
  if (options.kill_on_exit) bits |= PTRACE_O_EXITKILL;
  return bits;
}

constinit thread_local volatile std::sig_atomic_t attaching = 0;

// A request that break_off_attaching() may end.
base::Result<void> come_under_us(long what, base::Tid tid, std::uintptr_t data,
                                 const char* operation) {
  attaching = 1;
  const long returned = request(what, tid, 0, data);
  attaching = 0;
  return check(returned, operation, tid);
}

template <class T>
std::uintptr_t address_of(T& object) {
  return reinterpret_cast<std::uintptr_t>(&object);
}

}  // namespace

base::Result<void> resume(Stopped&& tracee, Resume how, int signo) {
  const Stopped eaten = std::move(tracee);
  long what = PTRACE_SYSCALL;
  if (how == Resume::kFreely) what = PTRACE_CONT;
  if (how == Resume::kListen) what = PTRACE_LISTEN;
  return check(request(what, eaten.tid(), 0, static_cast<std::uintptr_t>(signo)),
               "resuming a tracee", eaten.tid());
}

base::Result<void> detach(Stopped&& tracee, int signo) {
  const Stopped eaten = std::move(tracee);
  return check(request(PTRACE_DETACH, eaten.tid(), 0, static_cast<std::uintptr_t>(signo)),
               "detaching from a tracee", eaten.tid());
}

base::Result<SyscallInfo> syscall_info(const Stopped& tracee) {
  __ptrace_syscall_info raw;
  std::memset(&raw, 0, sizeof raw);
  const long got = request(PTRACE_GET_SYSCALL_INFO, tracee.tid(), sizeof raw, address_of(raw));
  if (got < 0) {
    return base::system_error("asking what system call a tracee is in", base::Errno::last(),
                              tracee.tid());
  }
  SyscallInfo info;
  info.program_counter = raw.instruction_pointer;
  switch (raw.op) {
    case PTRACE_SYSCALL_INFO_ENTRY:
      info.op = SyscallInfo::Op::kEntry;
      info.call.number = static_cast<std::int64_t>(raw.entry.nr);
      std::memcpy(info.call.args.data(), raw.entry.args, sizeof raw.entry.args);
      info.call.abi = abi_of(raw.arch, raw.entry.nr);
      break;
    case PTRACE_SYSCALL_INFO_SECCOMP:
      info.op = SyscallInfo::Op::kSeccomp;
      info.call.number = static_cast<std::int64_t>(raw.seccomp.nr);
      std::memcpy(info.call.args.data(), raw.seccomp.args, sizeof raw.seccomp.args);
      info.call.abi = abi_of(raw.arch, raw.seccomp.nr);
      info.filter_data = static_cast<std::uint16_t>(raw.seccomp.ret_data);
      break;
    case PTRACE_SYSCALL_INFO_EXIT:
      info.op = SyscallInfo::Op::kExit;
      info.call.abi = abi_of(raw.arch, 0);
      info.result.value = raw.exit.rval;
      info.result.is_error = raw.exit.is_error != 0;
      break;
    default:
      break;
  }
  return info;
}

base::Result<siginfo_t> siginfo(const Stopped& tracee) {
  siginfo_t info{};
  if (request(PTRACE_GETSIGINFO, tracee.tid(), 0, address_of(info)) < 0) {
    return base::system_error("reading a tracee's siginfo", base::Errno::last(), tracee.tid());
  }
  return info;
}

base::Result<std::uint64_t> event_message(const Stopped& tracee) {
  unsigned long message = 0;
  if (request(PTRACE_GETEVENTMSG, tracee.tid(), 0, address_of(message)) < 0) {
    return base::system_error("reading a ptrace event", base::Errno::last(), tracee.tid());
  }
  return message;
}

base::Result<InterruptedCall> interrupted_call(const Stopped& tracee) {
  std::array<std::byte, kMaxRegisterBytes> general;
  iovec io{general.data(), general.size()};
  if (request(PTRACE_GETREGSET, tracee.tid(), NT_PRSTATUS, address_of(io)) < 0) {
    return base::system_error("reading a tracee's registers", base::Errno::last(), tracee.tid());
  }
  RegisterBytes registers;
  registers.general = std::span{general}.first(io.iov_len);
  __ptrace_syscall_info info;
  std::memset(&info, 0, sizeof info);
  if (request(PTRACE_GET_SYSCALL_INFO, tracee.tid(), sizeof info, address_of(info)) >= 0) {
    registers.audit_arch = info.arch;
  }
  std::array<std::byte, sizeof(std::int32_t)> system_call;
  if (kSystemCallRegset != 0) {
    iovec one{system_call.data(), system_call.size()};
    const auto set = static_cast<std::uintptr_t>(kSystemCallRegset);
    if (request(PTRACE_GETREGSET, tracee.tid(), set, address_of(one)) >= 0) {
      registers.system_call = std::span{system_call}.first(one.iov_len);
    }
  }
  std::array<std::byte, sizeof(std::uint32_t)> code;
  if (const base::RemoteAddr at{code_address(registers.general)}; at.value() != 0) {
    registers.code = std::span{code}.first(ProcessMemory(tracee.tid()).read(at, code));
  }
  return call_in_registers(registers);
}

base::Result<StandingRegisters> standing_registers(const Stopped& tracee) {
  std::array<std::byte, kMaxRegisterBytes> general;
  iovec io{general.data(), general.size()};
  constexpr const char* kDoing = "reading a tracee's registers";
  if (request(PTRACE_GETREGSET, tracee.tid(), NT_PRSTATUS, address_of(io)) < 0) {
    return base::system_error(kDoing, base::Errno::last(), tracee.tid());
  }
  const auto standing = standing_in(std::span{general}.first(io.iov_len));
  if (!standing) return base::system_error(kDoing, base::Errno{ENOTSUP}, tracee.tid());
  return *standing;
}

base::Result<void> restart_call(const Stopped& tracee) {
  std::array<std::byte, kMaxRegisterBytes> general;
  iovec io{general.data(), general.size()};
  constexpr const char* kDoing = "restarting a call";
  if (request(PTRACE_GETREGSET, tracee.tid(), NT_PRSTATUS, address_of(io)) < 0) {
    return base::system_error(kDoing, base::Errno::last(), tracee.tid());
  }
  if (!put_restart(std::span{general}.first(io.iov_len))) {
    return base::system_error(kDoing, base::Errno{ENOTSUP}, tracee.tid());
  }
  return check(request(PTRACE_SETREGSET, tracee.tid(), NT_PRSTATUS, address_of(io)), kDoing,
               tracee.tid());
}

base::Result<void> fail_call(const Stopped& tracee) {
  std::array<std::byte, kMaxRegisterBytes> general;
  iovec io{general.data(), general.size()};
  constexpr const char* kDoing = "leaving out a call";
  if (request(PTRACE_GETREGSET, tracee.tid(), NT_PRSTATUS, address_of(io)) < 0) {
    return base::system_error(kDoing, base::Errno::last(), tracee.tid());
  }
  put_no_call(std::span{general}.first(io.iov_len));
  if (kSystemCallRegset != 0) {
    std::int32_t none = -1;
    iovec one{&none, sizeof none};
    const auto set = static_cast<std::uintptr_t>(kSystemCallRegset);
    if (auto left_out = check(request(PTRACE_SETREGSET, tracee.tid(), set, address_of(one)), kDoing,
                              tracee.tid());
        !left_out) {
      return left_out;
    }
  }
  return check(request(PTRACE_SETREGSET, tracee.tid(), NT_PRSTATUS, address_of(io)), kDoing,
               tracee.tid());
}

base::Result<void> set_argument(const Stopped& tracee, syscalls::Abi abi, unsigned index,
                                std::uint64_t value) {
  std::array<std::byte, kMaxRegisterBytes> general;
  iovec io{general.data(), general.size()};
  constexpr const char* kDoing = "changing an argument";
  if (request(PTRACE_GETREGSET, tracee.tid(), NT_PRSTATUS, address_of(io)) < 0) {
    return base::system_error(kDoing, base::Errno::last(), tracee.tid());
  }
  put_argument(std::span{general}.first(io.iov_len), abi, index, value);
  return check(request(PTRACE_SETREGSET, tracee.tid(), NT_PRSTATUS, address_of(io)), kDoing,
               tracee.tid());
}

base::Result<void> set_options(const Stopped& tracee, TraceeOptions options) {
  return check(request(PTRACE_SETOPTIONS, tracee.tid(), 0, bits_of(options)),
               "setting ptrace options", tracee.tid());
}

bool trace_me() {
  return request(PTRACE_TRACEME, base::Tid{}, 0, 0) == 0;
}

base::Result<void> seize(base::Tid tid, TraceeOptions options) {
  return come_under_us(PTRACE_SEIZE, tid, bits_of(options), "attaching with PTRACE_SEIZE");
}

base::Result<void> attach(base::Tid tid) {
  return come_under_us(PTRACE_ATTACH, tid, 0, "attaching with PTRACE_ATTACH");
}

void break_off_attaching(void* context) {
  if (attaching != 0) fail_own_call(context, SYS_ptrace);
}

base::Result<void> interrupt(base::Tid tid) {
  return check(request(PTRACE_INTERRUPT, tid, 0, 0), "interrupting a tracee", tid);
}

base::Result<void> send_stop(base::Pid pid, base::Tid tid) {
  return check(syscall(SYS_tgkill, pid.value(), tid.value(), SIGSTOP), "stopping a tracee", tid);
}

base::Result<void> send_signal(base::Pid pid, int signo) {
  return check(::kill(pid.value(), signo), "sending a signal", base::main_thread(pid));
}

}  // namespace stucktrace::kernel
