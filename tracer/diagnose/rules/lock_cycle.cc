#include <fmt/format.h>

#include <algorithm>

#include "tracer/diagnose/phases.h"
#include "tracer/diagnose/rules/rules.h"
#include "tracer/diagnose/story.h"

namespace stucktrace::diagnose::rules {

// Threads that own what the next one waits for: locks taken in different orders.
std::vector<Draft> lock_cycle(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (const Case& found : context.cases.cases) {
    const bool locks = found.cycle.size() > 1 && std::ranges::all_of(found.cycle, [&](NodeIndex i) {
                         return demand_of(context.graph, i) == Demand::kLock;
                       });
    if (!locks) continue;
    Draft draft{start_finding(context, "lock-cycle", found), found.core};
    model::Finding& finding = draft.finding;
    const Node& lead = context.graph[found.lead];
    std::vector<const model::Process*> processes;
    for (const NodeIndex index : found.cycle) {
      const model::Process* process = context.graph[index].process;
      if (std::ranges::find(processes, process) == processes.end()) processes.push_back(process);
    }
    finding.headline = fmt::format(
        "{} hold a lock each and wait for the other's{}{}",
        processes.size() > 1
            ? list_processes(processes)
            : fmt::format("{} threads of {}", found.cycle.size(), process_name(*lead.process)),
        for_how_long(context, found.lead), time_out_text(found));
    finding.explanation = explain_cycle(context, found);
    for (const NodeIndex index : found.cycle) {
      const Node& node = context.graph[index];
      if (const model::OnFutex* futex = futex_of(node); futex != nullptr && futex->owner) {
        finding.evidence.push_back(owner_evidence(*futex));
      }
    }
    finding.remedy =
        "Take these locks in the same order everywhere, or take them together: try the second one, "
        "and if it is taken give back the first and begin anew (in C++ std::scoped_lock does it).";
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
