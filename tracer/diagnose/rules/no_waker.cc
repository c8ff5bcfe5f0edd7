#include <fmt/format.h>

#include <algorithm>

#include "tracer/diagnose/phases.h"
#include "tracer/diagnose/rules/rules.h"
#include "tracer/diagnose/story.h"

namespace stucktrace::diagnose::rules {

// A process on its way out waits for a thread of its own that waits to be woken, and nobody is left
// who would: a worker that was never told to stop. Without the exit phase the same picture is an
// idle program, and no finding.
std::vector<Draft> no_waker(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (const model::Process& process : context.samples.now.processes) {
    const auto threads = context.graph.threads_of(process.pid);
    if (threads.size() < 2) continue;
    const auto phase = exit_phase(process);
    if (!phase) continue;
    const auto leaving = context.graph.find(phase->tid);
    if (!leaving || !context.cases.stuck[*leaving]) continue;
    const Demand waits = demand_of(context.graph, *leaving);
    if (waits != Demand::kWakeup && waits != Demand::kCompletion) continue;
    const std::vector<NodeIndex> closure = reachable(context.graph, *leaving, context.cases.stuck);
    const bool asleep = std::ranges::all_of(closure, [&](NodeIndex index) {
      const Node& node = context.graph[index];
      const Demand demand = demand_of(context.graph, index);
      return node.pid() == process.pid && !node.timer &&
             (demand == Demand::kWakeup || demand == Demand::kCompletion);
    });
    const auto worker = std::ranges::find_if(closure, [&](NodeIndex index) {
      return index != *leaving && demand_of(context.graph, index) == Demand::kWakeup;
    });
    if (!asleep || worker == closure.end()) continue;
    const auto duration = waited(context.samples, context.graph[*leaving]);
    if (duration && *duration < context.stuck_after) continue;

    Case found;
    found.lead = *leaving;
    found.core = closure;
    if (!std::ranges::binary_search(found.core, *leaving)) {
      found.core.insert(std::ranges::lower_bound(found.core, *leaving), *leaving);
    }
    found.closure = found.core;
    found.doubts = strength_of(context.graph, context.samples, found.core).doubts;
    found.doubts.push_back(
        "what the threads wait for has no owner that the kernel or memory "
        "names; that they wait for each other follows from nobody else being "
        "left");
    Draft draft{start_finding(context, "no-waker", found), found.core};
    model::Finding& finding = draft.finding;
    const Node& sleeper = context.graph[*worker];
    finding.announced =
        model::Announcement{phase->frame, -1, std::nullopt,
                            fmt::format("thread {} is in {}", phase->tid, phase->frame)};
    finding.headline = fmt::format(
        "{} is on its way out but cannot exit{}: its {} waits to be woken and nobody is left who "
        "would do it",
        process_name(process), for_how_long(context, *leaving), thread_name(sleeper));
    finding.explanation = {fmt::format("{} is in {} and waits for the other threads.",
                                       thread_name(context.graph[*leaving]), phase->frame),
                           fmt::format("{} {}; every other thread of the process waits likewise.",
                                       thread_name(sleeper), what(context, *worker))};
    finding.remedy =
        "Tell the worker threads to stop before the program ends (a sentinel in their "
        "queue, shutdown()), or make them daemon threads.";
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
