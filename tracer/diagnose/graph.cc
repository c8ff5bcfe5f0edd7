#include "tracer/diagnose/graph.h"

#include <fmt/format.h>

#include <algorithm>

#include "tracer/diagnose/releasers.h"

namespace stucktrace::diagnose {
namespace {

bool is_dead(const model::Thread& thread) {
  return thread.state == 'Z' || thread.state == 'X' || thread.state == 'x';
}

using EarlierThreads = std::unordered_map<base::Tid, const model::Thread*>;

EarlierThreads threads_by_tid(const model::Snapshot& snapshot) {
  EarlierThreads threads;
  for (const model::Process& process : snapshot.processes) {
    for (const model::Thread& thread : process.threads) threads.emplace(thread.tid, &thread);
  }
  return threads;
}

}  // namespace

bool is_zombie(const model::Process& process) {
  // A main thread that called pthread_exit(3) shows Z while the others go on.
  return (process.state == 'Z' || process.state == 'X') &&
         std::ranges::all_of(process.threads, is_dead);
}

Graph::Graph(const Samples& samples) : now_(&samples.now) {
  const EarlierThreads before = threads_by_tid(samples.before);
  for (const model::Process& process : samples.now.processes) {
    for (const model::Thread& thread : process.threads) {
      if (is_dead(thread)) continue;
      const auto found = before.find(thread.tid);
      // A reused tid is another thread.
      const model::Thread* earlier =
          found != before.end() && found->second->start_time == thread.start_time ? found->second
                                                                                  : nullptr;
      RefinedWait refined = refine_wait(samples, process, thread, earlier);
      Node node;
      node.process = &process;
      node.thread = &thread;
      node.motion = motion_of(samples, thread, earlier, refined.wait);
      // Without its share of the CPU a thread that works hardly moves either.
      if (process.cpu_starved && node.motion == Motion::kHeartbeat) node.motion = Motion::kMoved;
      node.wait = std::move(refined.wait);
      node.source = std::move(refined.source);
      by_tid_.emplace(thread.tid, nodes_.size());
      const auto [group, added] = by_pid_.emplace(process.pid, groups_.size());
      if (added) groups_.emplace_back();
      groups_[group->second].push_back(nodes_.size());
      nodes_.push_back(std::move(node));
    }
  }
  GraphView view{*now_,
                 samples.single() ? nullptr : &samples.before,
                 [this](base::Pid pid) { return group_of(pid); },
                 [this](base::Tid tid) { return find(tid); },
                 {}};
  for (const model::Process& process : now_->processes) {
    if (process.address_space != 0) view.sharing[process.address_space].push_back(process.pid);
  }
  for (Node& node : nodes_) {
    derive_releasers(view, node);
    if (!node.timer) continue;
    std::optional<base::Instant> since = node.thread->waiting_since;
    if (!since && samples.history != nullptr) since = samples.history->call_start(node.tid());
    node.timer_left = time_left(node, since, now_->taken_at);
  }
}

std::optional<NodeIndex> Graph::find(base::Tid tid) const {
  const auto found = by_tid_.find(tid);
  if (found == by_tid_.end()) return std::nullopt;
  return found->second;
}

std::optional<GroupIndex> Graph::group_of(base::Pid pid) const {
  const auto found = by_pid_.find(pid);
  if (found == by_pid_.end()) return std::nullopt;
  return found->second;
}

std::span<const NodeIndex> Graph::threads_of(base::Pid pid) const {
  const auto index = group_of(pid);
  if (!index) return {};
  return groups_[*index];
}

const Release* Graph::release(NodeIndex from, NodeIndex to) const {
  for (const Release& release : nodes_[from].releases) {
    if (release.group
            ? from != to && nodes_[to].process == nodes_[groups_[*release.group][0]].process
            : release.node == to) {
      return &release;
    }
  }
  return nullptr;
}

std::vector<model::Edge> Graph::edges() const {
  // A futex of a process with thousands of threads has thousands of releasers for each of them.
  constexpr std::size_t kMaxShown = 64;
  std::vector<model::Edge> edges;
  for (const Node& node : nodes_) {
    model::Edge blank;
    blank.from = node.tid();
    if (node.timer) blank.timer = node.timer_left;
    blank.outside = !node.outside.empty();
    const std::size_t first = edges.size();
    for (const Release& release : node.releases) {
      if (edges.size() == first + kMaxShown) {
        edges.back().why += fmt::format(" (and {} in all)", node.releases.size());
        break;
      }
      model::Edge edge = blank;
      edge.resource = release.resource;
      edge.why = release.why;
      if (release.group) {
        const std::vector<NodeIndex>& members = groups_[*release.group];
        for (const NodeIndex member : members) {
          if (nodes_[member].tid() == node.tid()) continue;
          edge.to.push_back(nodes_[member].tid());
          if (edge.to.size() == kMaxShown) break;
        }
        if (edge.to.size() == kMaxShown && members.size() > kMaxShown) {
          edge.why += fmt::format(" (process with {} threads)", members.size());
        }
        if (edge.to.empty()) continue;
      } else {
        edge.to.push_back(nodes_[release.node].tid());
      }
      std::ranges::sort(edge.to);
      edges.push_back(std::move(edge));
    }
    if (!node.releases.empty() || (!node.timer && node.outside.empty())) continue;
    blank.why = node.timer && node.outside.empty() ? "its own time-out" : node.outside;
    edges.push_back(std::move(blank));
  }
  std::ranges::stable_sort(edges, {}, &model::Edge::from);
  return edges;
}

}  // namespace stucktrace::diagnose
