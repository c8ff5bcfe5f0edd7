#include "tracer/kernel/seccomp_filter.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <cstring>

namespace stucktrace::kernel {
namespace {

using syscalls::Sys;

// Runs a filter as the kernel does; only what the library generates (classic BPF on seccomp_data).
std::uint32_t verdict(const FilterProgram& program, const seccomp_data& data) {
  std::uint32_t accumulator = 0;
  for (std::size_t at = 0; at < program.size(); ++at) {
    const sock_filter& step = program[at];
    const auto jump = [&](bool taken) { at += taken ? step.jt : step.jf; };
    switch (step.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&accumulator, reinterpret_cast<const char*>(&data) + step.k, 4);
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        accumulator &= step.k;
        break;
      case BPF_JMP | BPF_JA:
        at += step.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        jump(accumulator == step.k);
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        jump(accumulator > step.k);
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        jump(accumulator >= step.k);
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        jump((accumulator & step.k) != 0);
        break;
      case BPF_RET | BPF_K:
        return step.k;
      default:
        ADD_FAILURE() << "instruction " << step.code;
        return 0;
    }
  }
  ADD_FAILURE() << "no verdict";
  return 0;
}

#if defined(__x86_64__)
constexpr std::uint32_t kOwnArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kOwnArchitecture = AUDIT_ARCH_AARCH64;
#endif

seccomp_data call(long number, std::uint64_t a0 = 0, std::uint64_t a1 = 0, std::uint64_t a2 = 0) {
  seccomp_data data{};
  data.nr = static_cast<int>(number);
  data.arch = kOwnArchitecture;
  data.args[0] = a0;
  data.args[1] = a1;
  data.args[2] = a2;
  return data;
}

constexpr std::uint32_t kStop = SECCOMP_RET_TRACE | kFilterMark;

TEST(SeccompFilter, StopsAtItsCallsAlone) {
  const auto program = build_filter({{Sys::wait4, {}}, {Sys::pipe2, {}}});
  ASSERT_TRUE(program);
  EXPECT_EQ(verdict(*program, call(SYS_wait4)), kStop);
  EXPECT_EQ(verdict(*program, call(SYS_pipe2)), kStop);
  EXPECT_EQ(verdict(*program, call(SYS_read)), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(*program, call(SYS_execve)), SECCOMP_RET_ALLOW);
}

TEST(SeccompFilter, ConditionsOnArguments) {
  const auto program = build_filter({
      {Sys::write, {{.index = 0, .mask = 0xffffffff, .value = 1}}},
      {Sys::write, {{.index = 0, .mask = 0xffffffff, .value = 2}}},
      {Sys::openat, {{.index = 2, .mask = 3, .value = 1}}},
      {Sys::lseek, {{.index = 2, .value = 0, .differs = true}}},
  });
  ASSERT_TRUE(program);
  EXPECT_EQ(verdict(*program, call(SYS_write, 1)), kStop);
  // The upper half of the register is not part of an int.
  EXPECT_EQ(verdict(*program, call(SYS_write, 0xdead00000002)), kStop);
  EXPECT_EQ(verdict(*program, call(SYS_write, 3)), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(*program, call(SYS_openat, 0, 0, 0x80241)), kStop);
  EXPECT_EQ(verdict(*program, call(SYS_openat, 0, 0, 0x80000)), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(*program, call(SYS_lseek, 0, 1, 0)), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict(*program, call(SYS_lseek, 0, 1, 0xffffffff)), kStop);
}

TEST(SeccompFilter, OtherAbisStopAlways) {
  const auto program = build_filter({{Sys::wait4, {}}});
  ASSERT_TRUE(program);
  seccomp_data other = call(SYS_read);
  other.arch = AUDIT_ARCH_I386;
  EXPECT_EQ(verdict(*program, other), kStop);
#if defined(__x86_64__)
  EXPECT_EQ(verdict(*program, call(0x40000000 | SYS_read)), kStop);
#endif
}

}  // namespace
}  // namespace stucktrace::kernel
