#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <optional>
#include <set>
#include <string_view>

#include "tracer/diagnose/closure.h"
#include "tracer/diagnose/doubts.h"

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

  const Graph& graph_;
  const std::vector<NodeIndex>& threads_;
  NodeSet held_;
  std::vector<std::string> sentences_;
};

}  // namespace

std::vector<std::string> ways_out(const Graph& graph, const std::vector<NodeIndex>& threads) {
  return Search(graph, threads).run();
}

}  // namespace stucktrace::diagnose
