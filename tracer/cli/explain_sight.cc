#include "tracer/cli/explain_sight.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tracer/kernel/preflight.h"
#include "tracer/kernel/procfs.h"

namespace stucktrace::cli {
namespace {

// The numbers of the machine's own namespaces are fixed: PROC_PID_INIT_INO, linux/proc_ns.h.
constexpr std::string_view kFirstPidNamespace = "pid:[4026531836]";

bool is_refused(const model::Process& process) {
  const auto denied = [](const auto& fact) {
    return !fact && fact.error().because.find("permission") != std::string::npos;
  };
  return denied(process.fds) ||
         std::ranges::any_of(process.threads,
                             [&](const model::Thread& thread) { return denied(thread.syscall); });
}

bool misses_holders(const model::Snapshot& snapshot) {
  return std::ranges::any_of(snapshot.resources, [](const auto& entry) {
    return !entry.second.incomplete_because.empty();
  });
}

// The command again, for all that was asked about.
std::string again(const model::Report& report) {
  if (report.look && report.look->whole_machine) return "stucktrace explain --all";
  std::string command = "stucktrace explain";
  for (const base::Pid pid : report.snapshot->roots) command += fmt::format(" {}", pid);
  return command;
}

// The shells and drivers above us: that they may not be traced says nothing about looking at them.
bool is_above(const kernel::Procfs& procfs, base::Pid pid, base::Pid self) {
  constexpr int kDeepest = 64;
  for (int depth = 0; depth < kDeepest; ++depth) {
    const auto stat = procfs.stat(self);
    if (!stat || stat->parent <= 0) return false;
    self = base::Pid{stat->parent};
    if (self == pid) return true;
  }
  return false;
}

// Why processes were refused, each cause once, whatever process shows it.
std::vector<std::string> causes(const model::Snapshot& snapshot, const kernel::Procfs& procfs,
                                const kernel::Caller& caller) {
  constexpr std::size_t kMostAsked = 64;
  constexpr std::size_t kMostTold = 3;
  std::vector<std::string> shapes;
  std::vector<std::string> told;
  std::size_t asked = 0;
  for (const model::Process& process : snapshot.processes) {
    if (!is_refused(process) || is_above(procfs, process.pid, caller.pid)) continue;
    if (++asked > kMostAsked || told.size() == kMostTold) break;
    std::string cause = kernel::preflight(procfs, process.pid, caller).cause;
    if (cause.empty()) continue;  // it has ended, or changed its user
    std::string shape = cause;
    std::erase_if(shape, [](char byte) { return byte >= '0' && byte <= '9'; });
    if (std::ranges::find(shapes, shape) != shapes.end()) continue;
    shapes.push_back(std::move(shape));
    told.push_back(std::move(cause));
  }
  return told;
}

void add_refused(model::Report& report, const model::Snapshot& snapshot,
                 const kernel::Procfs& procfs) {
  const bool refused = std::ranges::any_of(snapshot.processes, is_refused);
  if (!refused && !misses_holders(snapshot)) return;
  const kernel::Caller caller = kernel::Caller::current();
  const std::vector<std::string> why = causes(snapshot, procfs, caller);
  const std::string way = caller.can_ptrace_anyone()
                              ? "run stucktrace on the host, outside of the container"
                              : "with more permission it shows: sudo " + again(report);
  if (why.empty()) report.ways_in.push_back(way);
  for (const std::string& cause : why) report.ways_in.push_back(fmt::format("{}; {}", cause, way));
}

void add_surroundings(model::Report& report, const kernel::Procfs& procfs) {
  const auto pids = procfs.link("self/ns/pid");
  if (pids && *pids != kFirstPidNamespace) {
    report.could_not_see.push_back(
        "processes outside of this pid namespace (container): they may hold other ends of pipes, "
        "sockets and locks");
    report.ways_in.push_back(
        "to see the processes outside, run it on the host, or in a container with the host's pids "
        "(docker run --pid=host)");
  }
  // Everybody may see that process 1 exists, unless /proc hides it (hidepid, proc(5)).
  if (!procfs.stat(base::Pid{1})) {
    report.could_not_see.push_back(
        "processes of other users: /proc hides them here (mount option hidepid)");
    report.ways_in.push_back("to see the hidden processes: sudo " + again(report));
  }
}

}  // namespace

void add_sight(model::Report& report, const model::Snapshot& seen) {
  if (!report.snapshot) return;
  const kernel::Procfs procfs;
  add_refused(report, seen, procfs);
  add_surroundings(report, procfs);
}

}  // namespace stucktrace::cli
