#include <fmt/format.h>

#include "tracer/diagnose/rules/rules.h"
#include "tracer/diagnose/story.h"

namespace stucktrace::diagnose::rules {

// A thread that waits for a lock it owns, or for its own end.
std::vector<Draft> self_deadlock(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (const Case& found : context.cases.cases) {
    const Node& node = context.graph[found.lead];
    if (!node.waits_for_itself) continue;
    Draft draft{start_finding(context, "self-deadlock", found), found.core};
    model::Finding& finding = draft.finding;
    const model::OnFutex* futex = futex_of(node);
    const bool join = futex != nullptr && futex->role == model::OnFutex::Role::kJoin;
    finding.headline =
        fmt::format("{} waits{} for {}", who(node), for_how_long(context, found.lead),
                    join ? "its own end" : "a lock that it owns itself");
    finding.explanation = explain_cycle(context, found);
    if (futex != nullptr && !join) {
      finding.evidence.push_back(fmt::format("the owner word of {} names thread {} itself",
                                             model::to_string(futex->futex), node.tid()));
    }
    finding.remedy =
        join ? "Do not join a thread from within itself."
             : "Do not take the lock again while holding it (look at signal handlers and "
               "callbacks), or make it recursive.";
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
