#include "tracer/cli/targets.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "tracer/base/text.h"
#include "tracer/kernel/preflight.h"
#include "tracer/kernel/procfs.h"

namespace stucktrace::cli {
namespace {

kernel::PreflightReport check_process(base::Pid pid) {
  return kernel::preflight(kernel::Procfs{}, pid, kernel::Caller::current());
}

base::Failure denied(const kernel::PreflightReport& report) {
  return base::Failure{
      {base::ErrorKind::kDenied, report.cause, base::Errno{}, base::Tid{}, report.remedy}};
}

}  // namespace

base::Result<std::vector<base::Pid>> parse_pids(const std::vector<std::string>& words) {
  std::vector<base::Pid> pids;
  for (const std::string& word : words) {
    std::int32_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc{} || end != word.data() + word.size() || number <= 0) {
      return base::usage_error(fmt::format("'{}' is no process id", base::escape_text(word, 40)),
                               "give a positive number, as ps and pgrep print it");
    }
    const base::Pid pid{number};
    if (std::ranges::find(pids, pid) == pids.end()) pids.push_back(pid);
  }
  return pids;
}

base::Result<void> may_trace(base::Pid pid) {
  const kernel::PreflightReport report = check_process(pid);
  if (report.can_trace) return {};
  return denied(report);
}

base::Result<void> may_look(base::Pid pid) {
  constexpr std::uint64_t kKernelThread = 0x00200000;  // PF_KTHREAD
  const kernel::Procfs procfs;
  const auto stat = procfs.stat(pid);
  const auto status = procfs.status(pid);
  // What is not ours to trace still shows its state, what it sleeps in and its children.
  if (stat && status && status->tgid == pid.value() && (stat->flags & kKernelThread) == 0) {
    return {};
  }
  return denied(check_process(pid));
}

base::Error explain_attach_failure(base::Pid pid, const base::Error& error) {
  const kernel::PreflightReport report = check_process(pid);
  if (!report.can_trace) return denied(report).error();
  base::Error told = error;
  told.operation = fmt::format("process {}: {}", pid, error.operation);
  if (error.kind == base::ErrorKind::kDenied && told.hint.empty()) {
    told.hint = "a security module or a container forbids it: stucktrace doctor tells more";
  }
  return told;
}

std::vector<base::Pid> tree_of(base::Pid root) {
  const kernel::Procfs procfs;
  std::vector<base::Pid> tree{root};
  for (std::size_t i = 0; i < tree.size(); ++i) {
    const auto tasks = procfs.tasks(tree[i]);
    if (!tasks) continue;
    for (const base::Tid tid : *tasks) {
      const auto children = procfs.children(tree[i], tid);
      if (!children) continue;
      for (const base::Pid child : *children) {
        if (std::ranges::find(tree, child) == tree.end()) tree.push_back(child);
      }
    }
  }
  return tree;
}

base::Pid tree_root(base::Pid pid) {
  constexpr int kMaxDepth = 1000;  // /proc is read at different times: there might be a loop
  const kernel::Procfs procfs;
  const auto start = procfs.stat(pid);
  if (!start) return pid;
  base::Pid root = pid;
  base::Pid parent{start->parent};
  for (int depth = 0; depth < kMaxDepth && parent; ++depth) {
    const auto stat = procfs.stat(parent);
    if (!stat || stat->session != start->session) break;
    root = parent;
    parent = base::Pid{stat->parent};
  }
  return root;
}

std::vector<base::Pid> machine_roots() {
  constexpr std::uint64_t kKernelThread = 0x00200000;  // PF_KTHREAD
  const kernel::Procfs procfs;
  std::vector<base::Pid> roots;
  const auto processes = procfs.processes();
  if (!processes) return roots;
  for (const base::Pid pid : *processes) {
    const auto stat = procfs.stat(pid);
    if (!stat || (stat->flags & kKernelThread) != 0) continue;
    // A parent outside of what /proc shows (hidepid, another pid namespace) makes a root too.
    const base::Pid parent{stat->parent};
    if (!std::ranges::binary_search(*processes, parent)) roots.push_back(pid);
  }
  return roots;
}

}  // namespace stucktrace::cli
