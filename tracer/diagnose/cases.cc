#include "tracer/diagnose/cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "tracer/base/text.h"
#include "tracer/diagnose/doubts.h"
#include "tracer/diagnose/obligation.h"

namespace stucktrace::diagnose {
namespace {

using namespace std::chrono_literals;
using model::Certainty;
using model::WaitKind;

bool contains(const std::vector<NodeIndex>& sorted, NodeIndex index) {
  return std::ranges::binary_search(sorted, index);
}

void say_once(std::vector<std::string>& sentences, std::string sentence) {
  if (std::ranges::find(sentences, sentence) == sentences.end()) {
    sentences.push_back(std::move(sentence));
  }
}

// A thread that naps between the others may be the one that acts when it wakes, unless it had the
// chance since the stall began and did not, or sleeps so long that it is nobody's pump.
constexpr base::Nanoseconds kLongNap = 10s;

class Finder {
 public:
  Finder(const Graph& graph, const Samples& samples, base::Nanoseconds stuck_after)
      : graph_(graph),
        samples_(samples),
        stuck_after_(stuck_after),
        closed_(stuck_set(graph, Ignore::kTimersAndUnknown)) {}

  Cases run() {
    for (const auto& knot : knots(graph_, closed_)) from_knot(knot);
    for (NodeIndex index = 0; index < graph_.size(); ++index) {
      if (!owed(index)) continue;
      if (closed_[index]) {
        from_lone_delivery(index);
      } else if (demand(index) == Demand::kDelivery) {
        from_open_delivery(index);
      }
    }
    drop_consequences();
    return {std::move(cases_), std::move(closed_)};
  }

 private:
  Demand demand(NodeIndex index) const { return demand_of(graph_, index); }
  bool owed(NodeIndex index) const {
    return demand(index) == Demand::kDelivery || demand(index) == Demand::kRequest;
  }

  std::vector<NodeIndex> closure_of(NodeIndex lead, const NodeSet& enter) const {
    std::vector<NodeIndex> closure = reachable(graph_, lead, enter);
    if (!contains(closure, lead)) {
      closure.insert(std::ranges::lower_bound(closure, lead), lead);
    }
    return closure;
  }

  // ---- circles ----------------------------------------------------------------------------------

  NodeIndex lead_of(const std::vector<NodeIndex>& knot) const {
    const auto first_with = [&](auto wanted) { return std::ranges::find_if(knot, wanted); };
    auto lead = first_with([&](NodeIndex i) { return writes_pipe(graph_[i]); });
    if (lead == knot.end()) {
      lead = first_with([&](NodeIndex i) { return owed(i); });
    }
    const auto obliged = [&](NodeIndex i) {
      return demand(i) != Demand::kWakeup && demand(i) != Demand::kNap;
    };
    // Who has no time-out is stuck the longest.
    if (lead == knot.end()) lead = first_with([&](NodeIndex i) { return obliged(i) && !timed(i); });
    if (lead == knot.end()) lead = first_with(obliged);
    return lead == knot.end() ? knot.front() : *lead;
  }

  void from_knot(const std::vector<NodeIndex>& knot) {
    Case found;
    found.lead = lead_of(knot);
    found.core = knot;
    NodeSet inside(graph_.size(), false);
    for (const NodeIndex index : knot) inside[index] = true;
    found.cycle = telling_cycle(found.lead, inside);
    found.closure = closure_of(found.lead, closed_);
    if (found.cycle.empty() || !judge(found) || !owes(graph_, found)) return;
    if (found.certainty != Certainty::kProven && !lasted(found.lead)) return;
    cases_.push_back(std::move(found));
  }

  // The circle a person would draw. A delivery's (or a request's) goes through whoever else could
  // take it: its own process often holds the other end only by inheritance. Who waits for the end
  // of a process waits for its main thread first.
  std::vector<NodeIndex> telling_cycle(NodeIndex lead, const NodeSet& allowed) const {
    std::vector<NodeIndex> cycle;
    if (owed(lead)) {
      NodeSet others = allowed;
      for (const NodeIndex own : graph_.threads_of(graph_[lead].pid())) others[own] = own == lead;
      cycle = shortest_cycle(graph_, lead, others);
    }
    if (cycle.empty()) cycle = shortest_cycle(graph_, lead, allowed);
    for (std::size_t i = 0; i < cycle.size(); ++i) {
      const NodeIndex from = cycle[i];
      const NodeIndex to = cycle[(i + 1) % cycle.size()];
      const auto main = graph_.find(base::main_thread(graph_[to].pid()));
      if (!main || !allowed[*main] || graph_[from].pid() == graph_[to].pid()) continue;
      if (!waits_for_process(from) || graph_.release(*main, to) == nullptr) continue;
      if (std::ranges::find(cycle, *main) != cycle.end()) continue;
      cycle.insert(cycle.begin() + static_cast<std::ptrdiff_t>(i) + 1, *main);
      ++i;
    }
    return cycle;
  }

  bool timed(NodeIndex index) const { return graph_[index].timer; }

  // Certainty, from everything in the closure; false = somebody may yet act by himself.
  bool judge(Case& found) const {
    Strength strength = strength_of(graph_, samples_, found.closure);
    found.certainty = strength.certainty;
    found.doubts = std::move(strength.doubts);
    const bool cycle_timed =
        std::ranges::any_of(found.cycle, [&](NodeIndex index) { return timed(index); });
    for (const NodeIndex index : found.closure) {
      if (!timed(index) || std::ranges::find(found.cycle, index) != found.cycle.end()) continue;
      // A reader that has nothing to do with the circle reads when it wakes.
      const bool involved = std::ranges::any_of(found.cycle, [&](NodeIndex on_cycle) {
        return graph_[on_cycle].pid() == graph_[index].pid();
      });
      if (!involved) return false;
      if (!had_its_chance(found.lead, index)) {
        if (!waits_for_work(index) || !end_is_awaited(found)) return false;
        found.certainty = Certainty::kLikely;
      }
      say_once(found.doubts, napper(index));
      if (!cycle_timed) found.certainty = Certainty::kLikely;
    }
    if (!cycle_timed) return true;
    if (found.certainty == Certainty::kProven) found.certainty = Certainty::kUntil;
    for (const NodeIndex index : found.cycle) {
      const auto left = graph_[index].timer_left;
      // The next timer of an event loop may be about anything: it is no bound.
      const model::Wait& wait = graph_[index].wait;
      const bool loop = wait.kind == WaitKind::kMultiplex && wait.on.size() > 1;
      if (timed(index) && left && !loop) {
        found.resolves_in = std::min(found.resolves_in.value_or(*left), *left);
      }
    }
    return true;
  }

  std::string napper(NodeIndex index) const {
    const Node& node = graph_[index];
    return fmt::format(
        "thread {} of process {} wakes by its own clock ({}) and could act then; it is taken to go "
        "on as before",
        node.tid(), node.pid(), model::to_string(node.wait.kind));
  }

  bool had_its_chance(NodeIndex lead, NodeIndex napping) const {
    const Node& node = graph_[napping];
    if (node.motion == Motion::kHeartbeat) return true;
    if (node.wait.timeout && *node.wait.timeout >= kLongNap) return true;
    const auto napped = waited(samples_, node);
    const auto stalled = waited(samples_, graph_[lead]);
    return napped && stalled && *napped < *stalled;
  }

  // Asleep on a condition of its own, with a time-out: a runtime's housekeeping, a worker. Where
  // somebody waits for the end of the stuck process already, it is not the one who was to read.
  bool waits_for_work(NodeIndex index) const {
    return demand(index) == Demand::kWakeup && futex_of(graph_[index]) != nullptr;
  }
  bool end_is_awaited(const Case& found) const {
    return std::ranges::any_of(found.cycle, [&](NodeIndex index) {
      return index != found.lead && !timed(index) && !graph_[index].wait.inferred &&
             waits_for_process(index);
    });
  }

  bool lasted(NodeIndex lead) const {
    const auto duration = waited(samples_, graph_[lead]);
    return !duration || *duration >= stuck_after_;
  }

  // ---- deliveries without a circle --------------------------------------------------------------

  bool in_a_case(NodeIndex index) const {
    return std::ranges::any_of(cases_,
                               [&](const Case& known) { return contains(known.core, index); });
  }

  void from_lone_delivery(NodeIndex index) {
    if (in_a_case(index)) return;
    Case found;
    found.lead = index;
    found.core = {index};
    found.closure = closure_of(index, closed_);
    // A reader that sleeps will read when it wakes.
    if (std::ranges::any_of(found.closure, [&](NodeIndex i) { return timed(i); })) return;
    if (std::ranges::any_of(found.closure, [&](NodeIndex i) { return graph_[i].wait.inferred; })) {
      return;
    }
    Strength strength = strength_of(graph_, samples_, found.closure);
    found.certainty = strength.certainty;
    found.doubts = std::move(strength.doubts);
    if (found.certainty != Certainty::kProven && !lasted(index)) return;
    cases_.push_back(std::move(found));
  }

  // A circle through a delivery while some other thread of a process on it waits for the world: the
  // server whose worker waits for a child that nobody drains. That other thread could read the pipe
  // as far as the kernel knows; but it waits for other input, and for as long as the stall lasts it
  // did not.
  void from_open_delivery(NodeIndex index) {
    const Node& lead = graph_[index];
    if (lead.moves() || !lead.outside.empty() || !lead.opaque.empty() || in_a_case(index)) return;
    NodeSet held(graph_.size(), false);
    for (NodeIndex i = 0; i < graph_.size(); ++i) {
      const Node& node = graph_[i];
      held[i] = !node.moves() && node.outside.empty() && node.opaque.empty();
    }
    Case found;
    found.lead = index;
    found.cycle = telling_cycle(index, held);
    if (found.cycle.size() < 2 || !lasted(index)) return;
    const bool waits_for_end = std::ranges::any_of(found.cycle, [&](NodeIndex i) {
      return i != index && waits_for_process(i) && !graph_[i].wait.inferred;
    });
    if (!waits_for_end) return;
    found.closure = closure_of(index, held);
    if (!judge(found)) return;
    for (const NodeIndex i : found.closure) {
      const Node& node = graph_[i];
      if (held[i]) continue;
      if (node.moves() || !node.opaque.empty() || !waits_for_input(node)) return;
      say_once(found.doubts,
               fmt::format("thread {} of process {} could act too; it waits for {} ({})",
                           node.tid(), node.pid(), node.outside, model::to_string(node.wait.kind)));
    }
    found.certainty = Certainty::kLikely;
    found.resolves_in.reset();
    found.core = found.cycle;
    std::ranges::sort(found.core);
    cases_.push_back(std::move(found));
  }

  bool waits_for_process(NodeIndex index) const {
    const Node& node = graph_[index];
    if (node.wait.on.size() != 1) return false;
    if (demand(index) == Demand::kCompletion) return true;
    // A sentinel: one pipe that only children hold.
    return node.wait.kind == WaitKind::kMultiplex && demand(index) == Demand::kData &&
           std::ranges::all_of(node.releases, [&](const Release& release) {
             return release.group &&
                    graph_[graph_.group(*release.group)[0]].process->parent == node.pid();
           });
  }

  static bool waits_for_input(const Node& node) {
    switch (node.wait.kind) {
      case WaitKind::kAccept:
      case WaitKind::kMultiplex:
      case WaitKind::kSignalWait:
      case WaitKind::kTcpRead:
      case WaitKind::kUnixRead:
      case WaitKind::kTtyRead:
      case WaitKind::kSleep:
        return true;
      default:
        return false;
    }
  }

  // ---- one root cause, one case -----------------------------------------------------------------

  // A case whose closure reaches into another one is its consequence; several writers of one pipe
  // are one case.
  void drop_consequences() {
    std::ranges::sort(cases_, {}, [](const Case& found) { return found.lead; });
    std::vector<bool> dropped(cases_.size(), false);
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      for (std::size_t j = 0; j < cases_.size() && !dropped[i]; ++j) {
        if (i == j || dropped[j]) continue;
        const bool same_core = cases_[i].core == cases_[j].core;
        const bool reaches = contains(cases_[i].closure, cases_[j].lead);
        const bool reached = contains(cases_[j].closure, cases_[i].lead);
        const bool behind = reaches && !reached;
        const bool later_twin = (same_core || same_pipe(cases_[i], cases_[j])) && j < i;
        if (behind || later_twin || (reaches && reached && j < i)) dropped[i] = true;
      }
    }
    std::vector<Case> kept;
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      if (!dropped[i]) kept.push_back(std::move(cases_[i]));
    }
    cases_ = std::move(kept);
  }

  bool same_pipe(const Case& a, const Case& b) const {
    const model::OnFd* left = delivery_fd(graph_[a.lead]);
    const model::OnFd* right = delivery_fd(graph_[b.lead]);
    return left != nullptr && right != nullptr && left->resource == right->resource;
  }

  const Graph& graph_;
  const Samples& samples_;
  base::Nanoseconds stuck_after_;
  NodeSet closed_;
  std::vector<Case> cases_;
};

}  // namespace

Cases find_cases(const Graph& graph, const Samples& samples, base::Nanoseconds stuck_after) {
  return Finder(graph, samples, stuck_after).run();
}

std::optional<base::Nanoseconds> waited(const Samples& samples, const Node& node) {
  std::optional<base::Instant> since = node.thread->waiting_since;
  if (!since && samples.history != nullptr && !node.wait.polling) {
    since = samples.history->call_start(node.tid());
  }
  if (!since && samples.history != nullptr && node.wait.polling) {
    if (const auto loop = samples.history->loop(node.tid())) since = loop->start;
  }
  if (!since) return std::nullopt;
  return std::max(samples.now.taken_at - *since, base::Nanoseconds{0});
}

Strength strength_of(const Graph& graph, const Samples& samples,
                     const std::vector<NodeIndex>& threads) {
  Strength strength{Certainty::kProven, {}};
  if (samples.single()) {
    strength.certainty = Certainty::kLikely;
    strength.doubts.push_back(
        "only one sample was taken: that nothing moved meanwhile is not known");
  }
  if (samples.now.suspended > base::Nanoseconds{0}) {
    strength.certainty = Certainty::kLikely;
    strength.doubts.push_back(fmt::format(
        "the machine was suspended for {} between the two samples: little time has passed for them",
        base::human_duration(samples.now.suspended)));
  }
  for (const NodeIndex index : threads) {
    const Node& node = graph[index];
    for (const std::string& unknown : node.unknown) {
      strength.certainty = Certainty::kLikely;
      say_once(strength.doubts, unknown);
    }
    if (node.wait.inferred) {
      strength.certainty = Certainty::kLikely;
      say_once(strength.doubts, node.source);
    }
  }
  for (std::string& way : ways_out(graph, threads)) {
    strength.certainty = Certainty::kLikely;
    say_once(strength.doubts, std::move(way));
  }
  return strength;
}

}  // namespace stucktrace::diagnose
