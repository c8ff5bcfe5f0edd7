#include "tracer/diagnose/doubts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <optional>
#include <set>
#include <string_view>

#include "tracer/diagnose/closure.h"

namespace stucktrace::diagnose {
namespace {

constexpr std::uint64_t bit(int signo) {
  return std::uint64_t{1} << static_cast<unsigned>(signo - 1);
}

struct Alarm {
  int signo;
  std::string_view name;
  // Its interval timer counts the process's own CPU time (setitimer(2)).
  bool by_cpu_time;
};
constexpr std::array kAlarms = {Alarm{SIGALRM, "SIGALRM", false}, Alarm{SIGIO, "SIGIO", false},
                                Alarm{SIGVTALRM, "SIGVTALRM", true},
                                Alarm{SIGPROF, "SIGPROF", true}};

class Search {
 public:
  Search(const Graph& graph, const std::vector<NodeIndex>& threads)
      : graph_(graph), threads_(threads) {}

  std::vector<std::string> run() {
    std::set<base::Pid> seen;
    for (const NodeIndex index : threads_) {
      const Node& node = graph_[index];
      if (seen.insert(node.pid()).second) alarms(*node.process);
      for (const model::WaitOn& on : node.wait.on) {
        if (const auto* futex = std::get_if<model::OnFutex>(&on)) lock(node, *futex);
        if (const auto* children = std::get_if<model::OnChildren>(&on)) new_child(node, *children);
        if (const auto* fd = std::get_if<model::OnFd>(&on)) own_socket(*fd);
      }
    }
    return std::move(sentences_);
  }

 private:
  // A thread of the process that is neither in the set nor held by it or by anything else for good,
  // as the beginning of a sentence.
  std::optional<std::string> free_thread(base::Pid pid) {
    if (graph_.snapshot().find(pid) == nullptr) {
      return fmt::format("process {} was not looked at", pid);
    }
    if (held_.empty()) held_ = stuck_set(graph_, Ignore::kNothing, threads_);
    for (const NodeIndex index : graph_.threads_of(pid)) {
      if (!held_[index]) {
        return fmt::format("thread {} of process {} is not stuck", graph_[index].tid(), pid);
      }
    }
    return std::nullopt;
  }

  void say(std::string sentence) {
    if (std::ranges::find(sentences_, sentence) == sentences_.end()) {
      sentences_.push_back(std::move(sentence));
    }
  }

  // A program that gives its calls a time-out by alarm(2). Whether the timer is set, nothing shows.
  void alarms(const model::Process& process) {
    if (!process.caught_signals) return;
    // Whoever catches all that would end it wants to clean up, or is a runtime.
    constexpr std::uint64_t kEnding = bit(SIGALRM) | bit(SIGVTALRM) | bit(SIGXCPU);
    if ((*process.caught_signals & kEnding) == kEnding) return;
    for (const Alarm& alarm : kAlarms) {
      if ((*process.caught_signals & bit(alarm.signo)) == 0) continue;
      // Who only waits uses no CPU time.
      if (alarm.by_cpu_time && !free_thread(process.pid)) continue;
      say(
          fmt::format("process {} has a handler for {}: a timer that cannot be seen may end its "
                      "wait",
                      process.pid, alarm.name));
      return;
    }
  }

  // Where a lock may be released by another thread than took it, the owner is a custom only.
  void lock(const Node& node, const model::OnFutex& on) {
    using Role = model::OnFutex::Role;
    if (!on.owner || !on.owner_alive) return;
    // That two threads have each other's mutex is no accident; of one that was taken twice by one
    // thread the second may be meant to wait until another thread opens it.
    const bool as_gate = on.role == Role::kMutex && *on.owner == node.tid();
    if (!as_gate && on.role != Role::kRuntimeLock) return;
    for (const base::Pid pid : sharing(node, on)) {
      if (const auto who = free_thread(pid)) {
        say(fmt::format("{}; it is taken not to release a lock that another thread took, which {}",
                        *who,
                        as_gate ? "mutexes of the default kind allow"
                                : "locks of an interpreter allow unless they are reentrant"));
      }
    }
  }

  std::vector<base::Pid> sharing(const Node& node, const model::OnFutex& on) const {
    if (!on.is_private) return on.sharers;
    std::vector<base::Pid> pids;
    for (const model::Process& process : graph_.snapshot().processes) {
      const bool shares = process.address_space == node.process->address_space;
      if (process.pid == node.pid() || shares) pids.push_back(process.pid);
    }
    return pids;
  }

  // "Any child" may be one that is not there yet.
  void new_child(const Node& node, const model::OnChildren& on) {
    if (on.which == model::OnChildren::Which::kOne) return;
    if (const auto who = free_thread(node.pid())) {
      say(*who + " and could start a child, whose end would be told as well");
    }
  }

  // shutdown(2) wakes whoever waits on the socket, from either end.
  void own_socket(const model::OnFd& on) {
    const model::ResourceKind kind = on.resource.kind;
    if (kind != model::ResourceKind::kUnixSocket && kind != model::ResourceKind::kTcpSocket) return;
    const auto& resources = graph_.snapshot().resources;
    const auto found = resources.find(on.resource);
    if (found == resources.end()) return;
    for (const model::Holder& holder : found->second.holders) {
      if (const auto who = free_thread(holder.pid)) {
        say(fmt::format("{} and has the same end of {}: it could shut that down", *who,
                        model::to_string(on.resource)));
      }
    }
  }

  const Graph& graph_;
  const std::vector<NodeIndex>& threads_;
  NodeSet held_;
  std::vector<std::string> sentences_;
};

}  // namespace

std::vector<std::string> ways_out(const Graph& graph, const std::vector<NodeIndex>& threads) {
  return Search(graph, threads).run();
}

Interrupt interrupt_of(const model::Process& process) {
  const bool interpreted =
      process.interpreter || std::ranges::any_of(process.threads, [](const model::Thread& thread) {
        return !thread.python.empty();
      });
  return interpreted ? Interrupt::kDoesNot : Interrupt::kCounts;
}

bool may_be_told(const model::Snapshot& now, const model::Process& process, Interrupt interrupt) {
  if (!process.caught_signals) return true;
  std::uint64_t telling = bit(SIGHUP) | bit(SIGQUIT) | bit(SIGUSR1) | bit(SIGUSR2) | bit(SIGALRM) |
                          bit(SIGTERM) | bit(SIGIO) | bit(SIGVTALRM) | bit(SIGPROF) |
                          bit(SIGWINCH) | bit(SIGURG) | bit(SIGPWR) | bit(SIGTSTP) | bit(SIGCONT);
  for (int signo = 35; signo <= 64; ++signo) telling |= bit(signo);  // 32-34 are libc's own
  if (interrupt == Interrupt::kCounts) telling |= bit(SIGINT);
  const bool has_child = std::ranges::any_of(now.processes, [&](const model::Process& other) {
    return other.parent == process.pid && !is_zombie(other);
  });
  if (has_child) telling |= bit(SIGCHLD);
  return (*process.caught_signals & telling) != 0;
}

}  // namespace stucktrace::diagnose
