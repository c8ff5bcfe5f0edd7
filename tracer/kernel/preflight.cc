#include "tracer/kernel/preflight.h"

#include <unistd.h>

#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "tracer/base/text.h"
#include "tracer/kernel/procfs.h"

namespace stucktrace::kernel {
namespace {

constexpr std::uint64_t kKernelThread = 0x00200000;  // PF_KTHREAD
constexpr std::uint64_t kCapSysPtrace = 1ULL << 19U;  // capabilities(7)

// Documentation/admin-guide/LSM/Yama.rst: 0 classic, 1 descendants only, 2 CAP_SYS_PTRACE only,
// 3 nobody. Absent without Yama: classic.
int yama_scope(const Procfs& procfs) {
  const auto text = procfs.text("sys/kernel/yama/ptrace_scope", 16);
  int scope = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), scope);
  return scope;
}

// Of the calling process, as the kernel counts them (not through sudo or setuid that is to come).
struct Self {
  base::Pid pid{::getpid()};
  uid_t uid = ::geteuid();
  bool has_cap = false;
  int seccomp = 0;
  std::string user_namespace;
  std::string pid_namespace;

  explicit Self(const Procfs& procfs) {
    if (const auto status = procfs.status(pid)) {
      has_cap = (status->cap_effective & kCapSysPtrace) != 0;
      seccomp = status->seccomp;
    }
    user_namespace = procfs.link("self/ns/user").value_or("");
    pid_namespace = procfs.link("self/ns/pid").value_or("");
  }
};

PreflightReport refuse(PreflightReport report, bool can_look, std::string cause,
                       std::string remedy) {
  report.can_trace = false;
  report.can_look = can_look;
  report.cause = std::move(cause);
  report.remedy = std::move(remedy);
  return report;
}

bool is_ancestor(const Procfs& procfs, base::Pid candidate) {
  constexpr int kDeepest = 1000;  // a loop cannot be, but pids are reused while we read
  base::Pid at{::getpid()};
  for (int depth = 0; depth < kDeepest && at.value() > 0; ++depth) {
    if (at == candidate) return true;
    const auto stat = procfs.stat(at);
    if (!stat) return false;
    at = base::Pid{stat->parent};
  }
  return false;
}

std::string name_of(const Procfs& procfs, base::Pid pid) {
  const auto comm = procfs.comm(pid);
  return comm ? fmt::format("{} ({})", pid, base::escape_text(*comm)) : fmt::format("{}", pid);
}

std::string_view yama_words(int scope) {
  switch (scope) {
    case 0: return "any process of the same user may be traced";
    case 1: return "only descendants may be traced without CAP_SYS_PTRACE";
    case 2: return "only CAP_SYS_PTRACE may trace";
    default: return "nobody may trace until the next boot";
  }
}

// The user's own rights against the process's.
PreflightReport check_rights(const Procfs& procfs, const Self& self, const TaskStatus& status,
                             base::Pid pid, PreflightReport report) {
  const int scope = yama_scope(procfs);
  report.facts.push_back(
      fmt::format("Yama ptrace_scope is {}: {}", scope, yama_words(scope)));
  report.facts.push_back(fmt::format("CAP_SYS_PTRACE: {}", self.has_cap ? "yes" : "no"));
  if (scope >= 3) {
    return refuse(std::move(report), true, "Yama's ptrace_scope is 3: nobody may trace",
                  "reboot with kernel.yama.ptrace_scope at 2 or less, or use explain, which looks "
                  "as far as it may");
  }
  if (self.has_cap) return report;
  if (status.uid != self.uid) {
    return refuse(std::move(report), true,
                  fmt::format("process {} belongs to another user (uid {}, you are {})", pid,
                              status.uid, self.uid),
                  "run stucktrace as root (sudo) or as that user");
  }
  if (scope == 2) {
    return refuse(std::move(report), true, "Yama's ptrace_scope is 2: only CAP_SYS_PTRACE may trace",
                  "run stucktrace as root (sudo)");
  }
  if (scope == 1) {
    return refuse(std::move(report), true,
                  fmt::format("Yama's ptrace_scope is 1 and process {} is no descendant of "
                              "stucktrace",
                              pid),
                  "run stucktrace as root (sudo), or: sudo sysctl kernel.yama.ptrace_scope=0");
  }
  // Not dumpable (prctl(2) PR_SET_DUMPABLE, a setuid program): its files are root's.
  if (const auto line = procfs.syscall(pid, base::main_thread(pid));
      !line && line.error().kind == base::ErrorKind::kDenied) {
    return refuse(std::move(report), true,
                  fmt::format("process {} is protected from tracing (a setuid program, or made so "
                              "by prctl)",
                              pid),
                  "run stucktrace as root (sudo)");
  }
  return report;
}

}  // namespace

PreflightReport check_process(base::Pid pid) {
  const Procfs procfs;
  PreflightReport report;
  const auto stat = procfs.stat(pid);
  const auto status = procfs.status(pid);
  if (!stat || !status) {
    report.exists = false;
    return refuse(std::move(report), false, fmt::format("there is no process {}", pid),
                  "pgrep and ps show the pids there are");
  }
  if (status->tgid != pid.value()) {
    return refuse(std::move(report), false,
                  fmt::format("{} is a thread of process {}", pid, status->tgid),
                  fmt::format("name the process: {}", status->tgid));
  }
  report.facts.push_back(fmt::format("it is {}, state {}, uid {}, {} thread{}",
                                     base::escape_text(stat->comm), stat->state, status->uid,
                                     stat->thread_count, stat->thread_count == 1 ? "" : "s"));
  if ((stat->flags & kKernelThread) != 0) {
    return refuse(std::move(report), false, fmt::format("process {} is a kernel thread", pid), "");
  }
  const Self self(procfs);
  if (stat->state == 'Z' && stat->thread_count <= 1) {
    return refuse(std::move(report), true,
                  fmt::format("process {} is a zombie: it has ended and its parent {} has not "
                              "waited for it",
                              pid, name_of(procfs, base::Pid{stat->parent})),
                  fmt::format("look at the parent: stucktrace explain {}", stat->parent));
  }
  if (is_ancestor(procfs, pid)) {
    return refuse(std::move(report), true,
                  pid == self.pid ? fmt::format("process {} is stucktrace itself", pid)
                                  : fmt::format("process {} is an ancestor of stucktrace: stopping "
                                                "it could stop stucktrace",
                                                pid),
                  "run stucktrace from another terminal");
  }
  if (status->tracer != 0) {
    return refuse(std::move(report), true,
                  fmt::format("process {} is already traced by process {}", pid,
                              name_of(procfs, base::Pid{status->tracer})),
                  fmt::format("end that tracer, or use explain; a process has one tracer at a "
                              "time"));
  }
  if (status->seccomp != 0) report.facts.emplace_back("it runs under a seccomp filter");
  if (const auto its = procfs.link(fmt::format("{}/ns/pid", pid));
      its && *its != self.pid_namespace) {
    report.facts.push_back(fmt::format("it lives in another pid namespace (pid {} there)",
                                       status->ns_pids.empty() ? 0 : status->ns_pids.back()));
  }
  return check_rights(procfs, self, *status, pid, std::move(report));
}

PreflightReport check_machine() {
  const Procfs procfs;
  const Self self(procfs);
  PreflightReport report;
  const int scope = yama_scope(procfs);
  report.facts.push_back(fmt::format("effective uid {}", self.uid));
  report.facts.push_back(fmt::format("CAP_SYS_PTRACE: {}", self.has_cap ? "yes" : "no"));
  report.facts.push_back(
      fmt::format("Yama ptrace_scope is {}: {}", scope, yama_words(scope)));
  if (self.seccomp != 0) {
    report.facts.emplace_back("stucktrace itself runs under a seccomp filter (a container?); it may "
                              "forbid ptrace");
  }
  if (scope >= 3) {
    return refuse(std::move(report), true, "Yama's ptrace_scope is 3: nobody may trace",
                  "reboot with kernel.yama.ptrace_scope at 2 or less; explain works without");
  }
  if (!self.has_cap && scope == 2) {
    return refuse(std::move(report), true, "Yama's ptrace_scope is 2: only CAP_SYS_PTRACE may trace",
                  "run stucktrace as root (sudo)");
  }
  if (!self.has_cap && scope == 1) {
    report.facts.emplace_back("run works; attach needs root, or: sudo sysctl "
                              "kernel.yama.ptrace_scope=0");
  }
  return report;
}

}  // namespace stucktrace::kernel
