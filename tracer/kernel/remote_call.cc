#include "tracer/kernel/remote_call.h"

#include <elf.h>
#include <fmt/format.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <span>

#include "tracer/kernel/regs.h"
#include "tracer/kernel/remote_memory.h"

namespace stucktrace::kernel {
namespace {

constexpr const char* kDoing = "having a tracee make a call";

long request(long what, base::Tid tid, std::uintptr_t address, std::uintptr_t data) {
  return syscall(SYS_ptrace, what, tid.value(), address, data);
}

template <class T>
std::uintptr_t address_of(T& object) {
  return reinterpret_cast<std::uintptr_t>(&object);
}

base::Failure failed(base::Tid tid) {
  return base::system_error(kDoing, base::Errno::last(), tid);
}

base::Failure unsupported(base::Tid tid) {
  return base::system_error(kDoing, base::Errno{ENOTSUP}, tid);
}

base::Result<std::vector<std::byte>> registers_of(base::Tid tid) {
  std::vector<std::byte> bytes(kMaxRegisterBytes);
  iovec io{bytes.data(), bytes.size()};
  if (request(PTRACE_GETREGSET, tid, NT_PRSTATUS, address_of(io)) < 0) return failed(tid);
  bytes.resize(io.iov_len);
  return bytes;
}

base::Result<void> set_registers(base::Tid tid, std::vector<std::byte> bytes) {
  iovec io{bytes.data(), bytes.size()};
  if (request(PTRACE_SETREGSET, tid, NT_PRSTATUS, address_of(io)) < 0) return failed(tid);
  return {};
}

// The number of the call at whose entry the tracee stands, where it is not in the registers above.
base::Result<void> set_call_number(base::Tid tid, std::int32_t number) {
  if (kSystemCallRegset == 0) return {};
  iovec io{&number, sizeof number};
  const auto set = static_cast<std::uintptr_t>(kSystemCallRegset);
  if (request(PTRACE_SETREGSET, tid, set, address_of(io)) < 0) return failed(tid);
  return {};
}

bool makes_a_call(base::Tid tid, std::uint64_t address) {
  const std::span<const std::byte> wanted = call_instruction();
  std::array<std::byte, 8> found{};
  const std::span<std::byte> out = std::span{found}.first(wanted.size());
  return ProcessMemory(tid).read(base::RemoteAddr{address}, out) == out.size() &&
         std::ranges::equal(out, wanted);
}

// The kernel's own library, mapped into every program, makes calls where it cannot do without.
std::uint64_t in_vdso(base::Tid tid) {
  std::ifstream file(fmt::format("/proc/{}/auxv", tid.value()), std::ios::binary);
  std::uint64_t vdso = 0;
  for (std::array<std::uint64_t, 2> entry{};
       file.read(reinterpret_cast<char*>(entry.data()), sizeof entry) && entry[0] != AT_NULL;) {
    if (entry[0] == AT_SYSINFO_EHDR) vdso = entry[1];
  }
  if (vdso == 0) return 0;
  constexpr std::size_t kMost = 16384;
  std::vector<std::byte> image(kMost);
  image.resize(ProcessMemory(tid).read(base::RemoteAddr{vdso}, image));
  const auto found = std::ranges::search(image, call_instruction());
  return found.empty() ? 0 : vdso + static_cast<std::uint64_t>(found.begin() - image.begin());
}

int event_of(int status) {
  return status >> 16;
}

}  // namespace

base::Result<RemoteCaller> RemoteCaller::begin(const Stopped& tracee) {
  RemoteCaller caller(tracee.tid());
  const base::Tid tid = tracee.tid();
  __ptrace_syscall_info info;
  std::memset(&info, 0, sizeof info);
  if (request(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, address_of(info)) < 0) return failed(tid);
  auto registers = registers_of(tid);
  if (!registers) return base::Failure{registers.error()};
  if (abi_of(info.arch, 0) != syscalls::kNativeAbi || !can_call(*registers)) {
    return unsupported(tid);
  }
  const bool at_entry = info.op == PTRACE_SYSCALL_INFO_SECCOMP;
  const std::uint64_t before = info.instruction_pointer - call_instruction().size();
  caller.instruction_ = makes_a_call(tid, before) ? before : in_vdso(tid);
  if (caller.instruction_ == 0) return unsupported(tid);

  std::uint64_t all = ~std::uint64_t{0};
  if (request(PTRACE_GETSIGMASK, tid, sizeof all, address_of(caller.signal_mask_)) < 0 ||
      request(PTRACE_SETSIGMASK, tid, sizeof all, address_of(all)) < 0) {
    return failed(tid);
  }
  caller.registers_ = *registers;
  put_call_again(caller.registers_, at_entry);
  if (at_entry) {
    // It is left out now and made at the end.
    put_no_call(*registers);
    if (auto set = set_registers(tid, std::move(*registers)); !set)
      return base::Failure{set.error()};
    if (auto set = set_call_number(tid, -1); !set) return base::Failure{set.error()};
    if (auto run = caller.run_to_exit(); !run) return base::Failure{run.error()};
  }
  return caller;
}

// The status of its next stop. An exit is not taken: the tracer waits for it elsewhere.
base::Result<int> RemoteCaller::next_stop() const {
  siginfo_t seen{};
  while (::waitid(P_PID, static_cast<id_t>(tid_.value()), &seen,
                  WEXITED | WSTOPPED | WNOWAIT | __WALL) != 0) {
    if (errno != EINTR) return failed(tid_);
  }
  if (seen.si_code == CLD_EXITED || seen.si_code == CLD_KILLED || seen.si_code == CLD_DUMPED) {
    return base::system_error(kDoing, base::Errno{ESRCH}, tid_);
  }
  int status = 0;
  while (::waitpid(tid_.value(), &status, __WALL) < 0) {
    if (errno != EINTR) return failed(tid_);
  }
  return status;
}

base::Result<void> RemoteCaller::run_to_exit() {
  for (;;) {
    if (request(PTRACE_SYSCALL, tid_, 0, 0) < 0) return failed(tid_);
    const auto status = next_stop();
    if (!status) return base::Failure{status.error()};
    constexpr int kSyscallStop = SIGTRAP | 0x80;
    if (WSTOPSIG(*status) == kSyscallStop) {
      __ptrace_syscall_info info;
      std::memset(&info, 0, sizeof info);
      if (request(PTRACE_GET_SYSCALL_INFO, tid_, sizeof info, address_of(info)) < 0) {
        return failed(tid_);
      }
      if (info.op == PTRACE_SYSCALL_INFO_EXIT) return {};
    } else if (event_of(*status) == 0 && WSTOPSIG(*status) == SIGSTOP) {
      // The one signal besides SIGKILL that cannot be blocked. Without PTRACE_SEIZE a group-stop
      // looks the same but has no siginfo.
      siginfo_t unused{};
      owed_stop_ |= request(PTRACE_GETSIGINFO, tid_, 0, address_of(unused)) == 0;
    }
  }
}

base::Result<std::int64_t> RemoteCaller::call(std::int64_t number,
                                              const std::array<std::uint64_t, 6>& args) {
  std::vector<std::byte> registers = registers_;
  put_call(registers, instruction_, number, args);
  if (auto set = set_registers(tid_, std::move(registers)); !set) return base::Failure{set.error()};
  if (auto run = run_to_exit(); !run) return base::Failure{run.error()};
  const auto after = registers_of(tid_);
  if (!after) return base::Failure{after.error()};
  return result_in(*after);
}

base::Result<void> RemoteCaller::end() {
  if (auto set = set_registers(tid_, registers_); !set) return set;
  if (request(PTRACE_SETSIGMASK, tid_, sizeof signal_mask_, address_of(signal_mask_)) < 0) {
    return failed(tid_);
  }
  if (owed_stop_) static_cast<void>(syscall(SYS_tkill, tid_.value(), SIGSTOP));
  return {};
}

}  // namespace stucktrace::kernel
