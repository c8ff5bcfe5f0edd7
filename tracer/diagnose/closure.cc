#include "tracer/diagnose/closure.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <optional>

namespace stucktrace::diagnose {
namespace {

bool free_by_itself(const Node& node, Ignore ignore) {
  if (node.moves() || !node.outside.empty() || !node.opaque.empty()) return true;
  if (node.timer && ignore == Ignore::kNothing) return true;
  return !node.unknown.empty() && ignore != Ignore::kTimersAndUnknown;
}

// Walks releasers so that each process's threads are gone through at most twice however many
// threads wait for that process: the first to ask leaves out itself, the second brings it in.
class Expansion {
 public:
  explicit Expansion(const Graph& graph) : graph_(graph), asked_(graph.group_count()) {}

  template <class Visitor>
  void expand(NodeIndex from, Visitor visit) {
    for (const Release& release : graph_[from].releases) {
      if (!release.group) {
        visit(release.node);
        continue;
      }
      Asked& asked = asked_[*release.group];
      if (asked.times == 0) {
        asked = {1, from};
        for (const NodeIndex member : graph_.group(*release.group)) {
          if (member != from) visit(member);
        }
      } else if (asked.times == 1 && asked.first != from) {
        asked.times = 2;
        if (graph_[asked.first].process == graph_[graph_.group(*release.group)[0]].process) {
          visit(asked.first);
        }
      }
    }
  }

 private:
  struct Asked {
    int times = 0;
    NodeIndex first = 0;
  };
  const Graph& graph_;
  std::vector<Asked> asked_;
};

// Who waits for a thread, or for any thread of a process.
struct Waiters {
  explicit Waiters(const Graph& graph) : for_node(graph.size()), for_group(graph.group_count()) {
    for (NodeIndex index = 0; index < graph.size(); ++index) {
      for (const Release& release : graph[index].releases) {
        if (release.group) {
          for_group[*release.group].push_back(index);
        } else {
          for_node[release.node].push_back(index);
        }
      }
    }
  }
  std::vector<std::vector<NodeIndex>> for_node;
  std::vector<std::vector<NodeIndex>> for_group;
};

// Sorted, out of one flag per node.
std::vector<NodeIndex> members(const NodeSet& set) {
  std::vector<NodeIndex> found;
  for (NodeIndex index = 0; index < set.size(); ++index) {
    if (set[index]) found.push_back(index);
  }
  return found;
}

}  // namespace

NodeSet stuck_set(const Graph& graph, Ignore ignore, const std::vector<NodeIndex>& held) {
  // Freedom spreads backwards.
  Waiters waiters(graph);
  NodeSet stuck(graph.size(), true);
  NodeSet kept(graph.size(), false);
  for (const NodeIndex index : held) kept[index] = true;
  std::deque<NodeIndex> freed;
  const auto set_free = [&](NodeIndex index) {
    if (!stuck[index] || kept[index]) return;
    stuck[index] = false;
    freed.push_back(index);
  };
  for (NodeIndex index = 0; index < graph.size(); ++index) {
    if (free_by_itself(graph[index], ignore)) set_free(index);
  }
  while (!freed.empty()) {
    const NodeIndex index = freed.front();
    freed.pop_front();
    for (const NodeIndex waiter : waiters.for_node[index]) set_free(waiter);
    const auto group = graph.group_of(graph[index].pid());
    if (!group) continue;
    // `index` is free already, so that it may be among those waiting for its own process.
    for (const NodeIndex waiter : waiters.for_group[*group]) set_free(waiter);
    waiters.for_group[*group].clear();
  }
  return stuck;
}

std::vector<NodeIndex> reachable(const Graph& graph, NodeIndex from, const NodeSet& enter) {
  NodeSet seen(graph.size(), false);
  Expansion expansion(graph);
  std::deque<NodeIndex> queue{from};
  while (!queue.empty()) {
    const NodeIndex at = queue.front();
    queue.pop_front();
    expansion.expand(at, [&](NodeIndex next) {
      if (seen[next]) return;
      seen[next] = true;
      if (next != from && enter[next]) queue.push_back(next);
    });
  }
  if (graph[from].waits_for_itself) seen[from] = true;
  return members(seen);
}

NodeSet reaching(const Graph& graph, const std::vector<NodeIndex>& targets, const NodeSet& enter) {
  NodeSet reach(graph.size(), false);
  Waiters waiters(graph);
  // Every thread of a group but the waiter itself: two targets of one process reach all its
  // waiters.
  std::vector<std::size_t> asked(graph.group_count(), 0);
  std::deque<NodeIndex> queue(targets.begin(), targets.end());
  const auto visit = [&](NodeIndex waiter) {
    if (reach[waiter]) return;
    reach[waiter] = true;
    if (enter[waiter]) queue.push_back(waiter);
  };
  while (!queue.empty()) {
    const NodeIndex at = queue.front();
    queue.pop_front();
    for (const NodeIndex waiter : waiters.for_node[at]) visit(waiter);
    const auto group = graph.group_of(graph[at].pid());
    if (!group || ++asked[*group] > 2) continue;
    for (const NodeIndex waiter : waiters.for_group[*group]) {
      if (waiter != at) visit(waiter);
    }
  }
  for (const NodeIndex target : targets) {
    if (graph[target].waits_for_itself) reach[target] = true;
  }
  return reach;
}

std::vector<NodeIndex> shortest_cycle(const Graph& graph, NodeIndex from, const NodeSet& allowed) {
  if (graph[from].waits_for_itself) return {from};
  constexpr NodeIndex kNobody = std::numeric_limits<NodeIndex>::max();
  std::vector<NodeIndex> came_from(graph.size(), kNobody);
  Expansion expansion(graph);
  std::deque<NodeIndex> queue{from};
  std::optional<NodeIndex> last;
  while (!queue.empty() && !last) {
    const NodeIndex at = queue.front();
    queue.pop_front();
    std::vector<NodeIndex> next_ones;
    expansion.expand(at, [&](NodeIndex next) { next_ones.push_back(next); });
    std::ranges::sort(next_ones, {}, [&](NodeIndex index) { return graph[index].tid(); });
    for (const NodeIndex next : next_ones) {
      if (next == from) {
        last = at;
        break;
      }
      if (!allowed[next] || came_from[next] != kNobody) continue;
      came_from[next] = at;
      queue.push_back(next);
    }
  }
  if (!last) return {};
  std::vector<NodeIndex> cycle;
  for (NodeIndex at = *last; at != from; at = came_from[at]) cycle.push_back(at);
  cycle.push_back(from);
  std::ranges::reverse(cycle);
  return cycle;
}

std::vector<std::vector<NodeIndex>> knots(const Graph& graph, const NodeSet& allowed) {
  // Tarjan's algorithm, without recursion. Processes are vertices of their own (threads + process
  // number), so that "every thread of P" is one edge; a thread's way through its own process back
  // to itself adds nothing to what two or more threads can reach.
  const std::size_t threads = graph.size();
  const std::size_t vertices = threads + graph.group_count();
  constexpr std::size_t kUnseen = std::numeric_limits<std::size_t>::max();
  std::vector<std::size_t> number(vertices, kUnseen);
  std::vector<std::size_t> low(vertices, 0);
  std::vector<bool> on_stack(vertices, false);
  std::vector<std::size_t> stack;
  std::size_t counter = 0;
  std::vector<std::vector<NodeIndex>> result;

  const auto degree = [&](std::size_t vertex) {
    return vertex < threads ? graph[vertex].releases.size() : graph.group(vertex - threads).size();
  };
  const auto target = [&](std::size_t vertex, std::size_t edge) {
    if (vertex >= threads) return graph.group(vertex - threads)[edge];
    const Release& release = graph[vertex].releases[edge];
    return release.group ? threads + *release.group : release.node;
  };
  const auto skipped = [&](std::size_t vertex) { return vertex < threads && !allowed[vertex]; };

  struct Visit {
    std::size_t vertex;
    std::size_t edge;
  };
  for (std::size_t root = 0; root < threads; ++root) {
    if (skipped(root) || number[root] != kUnseen) continue;
    std::vector<Visit> visits{{root, 0}};
    while (!visits.empty()) {
      const std::size_t vertex = visits.back().vertex;
      if (visits.back().edge == 0 && number[vertex] == kUnseen) {
        number[vertex] = low[vertex] = counter++;
        stack.push_back(vertex);
        on_stack[vertex] = true;
      }
      if (visits.back().edge < degree(vertex)) {
        const std::size_t next = target(vertex, visits.back().edge++);
        if (skipped(next)) continue;
        if (number[next] == kUnseen) {
          visits.push_back({next, 0});
        } else if (on_stack[next]) {
          low[vertex] = std::min(low[vertex], number[next]);
        }
        continue;
      }
      visits.pop_back();
      if (!visits.empty()) {
        low[visits.back().vertex] = std::min(low[visits.back().vertex], low[vertex]);
      }
      if (low[vertex] != number[vertex]) continue;
      std::vector<NodeIndex> members;
      for (bool more = true; more;) {
        const std::size_t member = stack.back();
        stack.pop_back();
        on_stack[member] = false;
        if (member < threads) members.push_back(member);
        more = member != vertex;
      }
      const bool own = members.size() == 1 && graph[members[0]].waits_for_itself;
      if (members.size() < 2 && !own) continue;
      std::ranges::sort(members);
      result.push_back(std::move(members));
    }
  }
  std::ranges::sort(result);
  return result;
}

}  // namespace stucktrace::diagnose
