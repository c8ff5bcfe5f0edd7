#include "tracer/kernel/preflight.h"

#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "tracer/base/text.h"
#include "tracer/kernel/text_scan.h"

namespace stucktrace::kernel {
namespace {

constexpr std::uint64_t kKernelThread = 0x00200000;  // PF_KTHREAD
constexpr int kMaxAncestors = 4096;

struct Obstacle {
  std::string cause;
  std::string remedy;
};

struct Target {
  base::Pid pid;
  TaskStat stat;
  TaskStatus status;
};

std::string named(const Procfs& procfs, base::Pid pid) {
  const auto comm = procfs.comm(pid);
  if (!comm) return fmt::format("process {}", pid);
  return fmt::format("process {} ({})", pid, base::escape_text(*comm, 64));
}

bool is_ancestor(const Procfs& procfs, base::Pid ancestor, base::Pid of) {
  base::Pid at = of;
  for (int step = 0; step < kMaxAncestors && at.value() > 0; ++step) {
    const auto stat = procfs.stat(at);
    if (!stat) return false;
    at = base::Pid{stat->parent};
    if (at == ancestor) return true;
  }
  return false;
}

// 0 classic, 1 descendants only, 2 administrators only, 3 nobody (the kernel's Yama.rst). Absent
// where the kernel has no Yama.
std::optional<int> yama_scope(const Procfs& procfs) {
  const auto text = procfs.text("sys/kernel/yama/ptrace_scope", 16);
  if (!text) return std::nullopt;
  std::string_view rest = *text;
  int scope = 0;
  if (!take_number(rest, scope) && !rest.empty()) return std::nullopt;
  return scope;
}

std::optional<Obstacle> not_a_target(const Target& target) {
  if (target.status.tgid != target.pid.value()) {
    return Obstacle{fmt::format("{} is a thread of process {}", target.pid, target.status.tgid),
                    fmt::format("name the process: {}", target.status.tgid)};
  }
  if ((target.stat.flags & kKernelThread) != 0) {
    return Obstacle{fmt::format("{} is a kernel thread", target.pid), ""};
  }
  const bool whole = target.stat.thread_count <= 1;
  if (target.stat.state == 'Z' && whole) {
    return Obstacle{fmt::format("process {} has ended; its parent {} has not collected it",
                                target.pid, target.stat.parent),
                    fmt::format("stucktrace explain {}", target.stat.parent)};
  }
  return std::nullopt;
}

std::optional<Obstacle> own_relatives(const Procfs& procfs, const Target& target,
                                      const Caller& caller) {
  if (target.pid == caller.pid) {
    return Obstacle{"stucktrace cannot trace itself", "name another process"};
  }
  const auto own = procfs.status(caller.pid);
  if (own && own->tracer == target.pid.value()) {
    return Obstacle{fmt::format("process {} is tracing stucktrace", target.pid),
                    "start stucktrace outside of that tracer"};
  }
  if (is_ancestor(procfs, target.pid, caller.pid)) {
    return Obstacle{
        fmt::format("process {} is an ancestor of stucktrace", target.pid),
        fmt::format("start stucktrace from another terminal: stucktrace attach {}", target.pid)};
  }
  return std::nullopt;
}

std::optional<Obstacle> already_traced(const Procfs& procfs, const Target& target,
                                       const Caller& caller) {
  int tracer = target.status.tracer;
  if (tracer == 0 || tracer == caller.pid.value()) return std::nullopt;
  // The number is that of the thread which traces.
  if (const auto thread = procfs.status(base::Pid{tracer})) tracer = thread->tgid;
  return Obstacle{
      fmt::format("process {} is already traced by {}", target.pid,
                  named(procfs, base::Pid{tracer})),
      fmt::format("end that tracer, or look without tracing: stucktrace explain {}", target.pid)};
}

std::optional<Obstacle> filtered(const Target&, const Caller& caller) {
  if (!caller.ptrace_filtered) return std::nullopt;
  return Obstacle{"a seccomp filter around stucktrace refuses ptrace (a container's default)",
                  "start the container with --cap-add SYS_PTRACE --security-opt "
                  "seccomp=unconfined"};
}

std::optional<Obstacle> forbidden_by_yama(const Procfs& procfs, const Target& target,
                                          const Caller& caller) {
  const int scope = yama_scope(procfs).value_or(0);
  constexpr int kDescendants = 1, kAdministrators = 2, kNobody = 3;
  if (scope >= kNobody) {
    return Obstacle{"kernel.yama.ptrace_scope is 3: nobody may trace until the next boot",
                    fmt::format("look without tracing: stucktrace explain {}", target.pid)};
  }
  if (caller.can_ptrace_anyone()) return std::nullopt;
  if (scope == kAdministrators) {
    return Obstacle{"kernel.yama.ptrace_scope is 2: only CAP_SYS_PTRACE may trace",
                    fmt::format("sudo stucktrace attach {}", target.pid)};
  }
  if (scope == kDescendants && !is_ancestor(procfs, caller.pid, target.pid)) {
    return Obstacle{
        "kernel.yama.ptrace_scope is 1: only a process's own ancestors may trace it",
        fmt::format("sudo stucktrace attach {} (or: sudo sysctl kernel.yama.ptrace_scope=0)",
                    target.pid)};
  }
  return std::nullopt;
}

std::optional<Obstacle> other_user(const Target& target, const Caller& caller) {
  if (caller.can_ptrace_anyone() || target.status.uid == caller.uid) return std::nullopt;
  return Obstacle{fmt::format("process {} belongs to another user (uid {}, yours is {})",
                              target.pid, target.status.uid, caller.uid),
                  fmt::format("sudo stucktrace attach {}", target.pid)};
}

// What none of the rules above explains: a process that is not dumpable (setuid program, prctl(2)),
// another user namespace, a security module. /proc/PID/syscall asks the kernel the very question an
// attach would.
std::optional<Obstacle> refused(const Procfs& procfs, const Target& target, const Caller& caller) {
  const auto line = procfs.syscall(target.pid, base::main_thread(target.pid));
  if (line || line.error().kind != base::ErrorKind::kDenied) return std::nullopt;
  if (caller.can_ptrace_anyone()) {
    return Obstacle{fmt::format("the kernel refuses process {} in spite of CAP_SYS_PTRACE: it "
                                "lives in an outer user namespace, or a security module forbids it",
                                target.pid),
                    "run stucktrace on the host, outside of the container"};
  }
  return Obstacle{fmt::format("process {} protects itself from being traced (it is not dumpable: "
                              "a setuid program, or by prctl)",
                              target.pid),
                  fmt::format("sudo stucktrace attach {}", target.pid)};
}

std::optional<Obstacle> first_obstacle(const Procfs& procfs, const Target& target,
                                       const Caller& caller) {
  if (auto found = not_a_target(target)) return found;
  if (auto found = own_relatives(procfs, target, caller)) return found;
  if (auto found = already_traced(procfs, target, caller)) return found;
  if (auto found = filtered(target, caller)) return found;
  if (auto found = other_user(target, caller)) return found;
  if (auto found = forbidden_by_yama(procfs, target, caller)) return found;
  return refused(procfs, target, caller);
}

std::vector<PreflightReport::Fact> facts_of(const Procfs& procfs, const Target& target,
                                            const Caller& caller) {
  const auto scope = yama_scope(procfs);
  const auto own = procfs.status(caller.pid);
  const auto number = [](auto value) { return fmt::format("{}", value); };
  std::string pids = number(target.pid);
  if (target.status.ns_pids.size() > 1) {
    pids = fmt::format("{} (in its container: {})", target.pid, target.status.ns_pids.back());
  }
  return {{"process", pids},
          {"state", std::string(1, target.stat.state)},
          {"owner", number(target.status.uid)},
          {"your uid", number(caller.uid)},
          {"CAP_SYS_PTRACE", caller.can_ptrace_anyone() ? "yes" : "no"},
          {"ptrace_scope", scope ? number(*scope) : "absent"},
          {"traced by", target.status.tracer == 0 ? "nobody" : number(target.status.tracer)},
          {"its seccomp mode", number(target.status.seccomp)},
          {"your seccomp mode", own ? number(own->seccomp) : "unknown"}};
}

}  // namespace

bool Caller::can_ptrace_anyone() const {
  return ((capabilities >> CAP_SYS_PTRACE) & 1U) != 0;
}

Caller Caller::current() {
  Caller caller;
  caller.pid = base::Pid{::getpid()};
  caller.uid = ::geteuid();
  if (const auto status = Procfs{}.status(caller.pid)) {
    caller.capabilities = status->cap_effective;
  }
  // No task has the number 0: ESRCH where ptrace is allowed at all, EPERM out of a filter.
  const long answer = ::ptrace(PTRACE_DETACH, 0, nullptr, nullptr);
  caller.ptrace_filtered = answer == -1 && errno != ESRCH;
  return caller;
}

PreflightReport preflight(const Procfs& procfs, base::Pid pid, const Caller& caller) {
  PreflightReport report;
  const auto stat = procfs.stat(pid);
  const auto status = procfs.status(pid);
  if (!stat || !status) {
    report.cause = fmt::format("process {} does not exist", pid);
    report.remedy = "find it: pgrep -a NAME";
    return report;
  }
  const Target target{pid, *stat, *status};
  report.facts = facts_of(procfs, target, caller);
  const bool kernel_thread = (stat->flags & kKernelThread) != 0;
  report.can_look = !kernel_thread && procfs.fds(pid, FdDetail::kLinks).has_value();
  if (auto obstacle = first_obstacle(procfs, target, caller)) {
    report.cause = std::move(obstacle->cause);
    report.remedy = std::move(obstacle->remedy);
  } else {
    report.can_trace = true;
  }
  return report;
}

PreflightReport preflight_machine(const Procfs& procfs, const Caller& caller) {
  constexpr int kNobody = 3;
  PreflightReport report;
  report.can_look = true;
  const std::optional<int> scope = yama_scope(procfs);
  report.facts = {{"your uid", fmt::format("{}", caller.uid)},
                  {"CAP_SYS_PTRACE", caller.can_ptrace_anyone() ? "yes" : "no"},
                  {"ptrace_scope", scope ? fmt::format("{}", *scope) : "absent"}};
  if (caller.ptrace_filtered) {
    report.cause = "a seccomp filter around stucktrace refuses ptrace (a container's default)";
    report.remedy =
        "start the container with --cap-add SYS_PTRACE --security-opt seccomp=unconfined";
  } else if (scope && *scope >= kNobody) {
    report.cause = "kernel.yama.ptrace_scope is 3: nobody may trace until the next boot";
    report.remedy = "look without tracing: stucktrace explain PID";
  } else {
    report.can_trace = true;
  }
  return report;
}

}  // namespace stucktrace::kernel
