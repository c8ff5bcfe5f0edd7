#include "tracer/diagnose/obligation.h"

#include <fmt/format.h>

#include <algorithm>

#include "tracer/base/text.h"

namespace stucktrace::diagnose {
namespace {

using model::Certainty;

bool is_main_thread(const Node& node) {
  return node.tid() == base::main_thread(node.pid());
}

bool is_owed(Demand demand) {
  return demand == Demand::kDelivery || demand == Demand::kRequest;
}

class Obligation {
 public:
  Obligation(const Graph& graph, Case& found) : graph_(graph), found_(found) {}

  bool exists() {
    if (std::ranges::any_of(found_.core, [&](NodeIndex i) { return is_owed(demand(i)); })) {
      return true;
    }
    if (std::ranges::any_of(found_.closure, [&](NodeIndex i) { return graph_[i].wait.inferred; })) {
      return false;  // an inferred circle around nothing owed is an idle pair
    }
    std::vector<NodeIndex> idle;
    for (const NodeIndex index : found_.closure) {
      if (demand(index) == Demand::kWakeup || demand(index) == Demand::kNap) idle.push_back(index);
    }
    for (const NodeIndex index : found_.cycle) {
      const Demand what = demand(index);
      const bool held = what == Demand::kCompletion || what == Demand::kLock;
      if (graph_[index].timer && !held) return false;
    }
    if (idle.empty()) return true;
    const bool idle_on_cycle =
        std::ranges::any_of(idle, [&](NodeIndex index) { return on_cycle(index); });
    return idle_on_cycle ? wakers_wait_for_the_end(idle) : helpers_only(idle);
  }

 private:
  Demand demand(NodeIndex index) const { return demand_of(graph_, index); }
  bool on_cycle(NodeIndex index) const {
    return std::ranges::find(found_.cycle, index) != found_.cycle.end();
  }
  bool main_waits_for_end() const {
    return std::ranges::any_of(found_.cycle, [&](NodeIndex index) {
      return demand(index) == Demand::kCompletion && !graph_[index].timer &&
             is_main_thread(graph_[index]);
    });
  }

  void doubt(NodeIndex index) {
    const Node& node = graph_[index];
    std::string sentence = fmt::format(
        "thread {} of process {} waits to be woken ({}); nothing visible is left that would, but "
        "what it waits for cannot be told",
        node.tid(), node.pid(), model::to_string(node.wait.kind));
    if (std::ranges::find(found_.doubts, sentence) == found_.doubts.end()) {
      found_.doubts.push_back(std::move(sentence));
    }
    found_.certainty = Certainty::kLikely;
  }

  // The idle threads are helpers beside the circle: none is the main thread of its process.
  bool helpers_only(const std::vector<NodeIndex>& idle) {
    if (!main_waits_for_end()) return false;
    for (const NodeIndex index : idle) {
      const Node& node = graph_[index];
      const auto* futex = futex_of(node);
      // A semaphore among processes is waited for by main threads too: several workers that take
      // turns at one queue. A private wait of a main thread may be for a signal handler.
      const bool turn_taking = futex != nullptr && !futex->is_private;
      if (node.timer || (is_main_thread(node) && !turn_taking)) return false;
    }
    for (const NodeIndex index : idle) doubt(index);
    return true;
  }

  // Whoever could wake the idle thread has himself gone to wait for somebody's end: a child waits
  // for the event that its parent would set, had the parent not begun to wait for the child.
  bool wakers_wait_for_the_end(const std::vector<NodeIndex>& idle) {
    if (!main_waits_for_end()) return false;
    for (const NodeIndex index : idle) {
      if (graph_[index].timer || !on_cycle(index)) return false;
      bool all = true;
      graph_.for_each_releaser(index, [&](NodeIndex waker) {
        all = all && graph_[waker].pid() != graph_[index].pid() && !graph_[waker].timer &&
              demand(waker) == Demand::kCompletion;
      });
      if (!all) return false;
    }
    for (const NodeIndex index : idle) doubt(index);
    return true;
  }

  const Graph& graph_;
  Case& found_;
};

}  // namespace

bool owes(const Graph& graph, Case& found) {
  return Obligation(graph, found).exists();
}

}  // namespace stucktrace::diagnose
