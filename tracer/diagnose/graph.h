#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "tracer/diagnose/refine.h"
#include "tracer/model/snapshot.h"
#include "tracer/model/verdict.h"

namespace stucktrace::diagnose {

using NodeIndex = std::size_t;

// All threads of one process: releasers mostly come in these, and a process may have thousands.
using GroupIndex = std::size_t;

// One reason why a thread, or every thread of a process, can end a wait.
struct Release {
  std::optional<GroupIndex> group;  // all its threads but the waiting one ...
  NodeIndex node = 0;               // ... or this one
  std::optional<model::ResourceId> resource;
  std::string why;  // "holds the read end (fd 3)"
};

// A thread of the newer sample and everything that can end its wait: any one suffices (OR).
struct Node {
  const model::Process* process = nullptr;
  const model::Thread* thread = nullptr;
  model::Wait wait;    // refined
  std::string source;  // where the refinement comes from, "" none
  Motion motion = Motion::kStill;

  std::vector<Release> releases;
  bool timer = false;
  std::optional<base::Nanoseconds> timer_left;  // upper bound; nullopt: not visible
  bool waits_for_itself = false;                // it owns what it waits for
  std::string outside;               // who beyond the processes looked at can end it, "" nobody
  std::string opaque;                // why nothing can be said about who can end it, "" it can
  std::vector<std::string> unknown;  // what may be missing besides `releases`, a sentence each
  // The condition holds already (data there, child dead): the thread is about to go on.
  bool ready = false;

  // Can go on whatever the others do.
  bool moves() const { return ready || motion == Motion::kRunning || motion == Motion::kMoved; }
  base::Tid tid() const { return thread->tid; }
  base::Pid pid() const { return process->pid; }
};

// The wait-for graph of `now`. Nodes are by process, then thread; the snapshot outlives it.
class Graph {
 public:
  explicit Graph(const Samples& samples);

  const std::vector<Node>& nodes() const { return nodes_; }
  const Node& operator[](NodeIndex index) const { return nodes_[index]; }
  std::size_t size() const { return nodes_.size(); }
  std::optional<NodeIndex> find(base::Tid tid) const;
  std::optional<GroupIndex> group_of(base::Pid pid) const;
  const std::vector<NodeIndex>& group(GroupIndex index) const { return groups_[index]; }
  std::size_t group_count() const { return groups_.size(); }
  std::span<const NodeIndex> threads_of(base::Pid pid) const;
  // Calls visit(NodeIndex) for every thread that can end this one's wait; may repeat a thread.
  template <class Visitor>
  void for_each_releaser(NodeIndex index, Visitor visit) const {
    for (const Release& release : nodes_[index].releases) {
      if (!release.group) {
        visit(release.node);
        continue;
      }
      for (const NodeIndex member : groups_[*release.group]) {
        if (member != index) visit(member);
      }
    }
  }
  // The reason through which `to` can end the wait of `from`; nullptr if there is none.
  const Release* release(NodeIndex from, NodeIndex to) const;
  const model::Snapshot& snapshot() const { return *now_; }
  // Edges as reports show them, by waiting thread.
  std::vector<model::Edge> edges() const;

 private:
  const model::Snapshot* now_;
  std::vector<Node> nodes_;
  std::unordered_map<base::Tid, NodeIndex> by_tid_;
  std::vector<std::vector<NodeIndex>> groups_;
  std::unordered_map<base::Pid, GroupIndex> by_pid_;
};

// A process that has ended and only waits to be reaped (no thread of it lives any more).
bool is_zombie(const model::Process& process);

}  // namespace stucktrace::diagnose
