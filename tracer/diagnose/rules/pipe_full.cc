#include <fmt/format.h>

#include "tracer/diagnose/rules/delivery.h"
#include "tracer/diagnose/rules/rules.h"

namespace stucktrace::diagnose::rules {

std::vector<Draft> pipe_full(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (const Case& found : context.cases.cases) {
    const Node& writer = context.graph[found.lead];
    if (!writes_pipe(writer)) continue;
    Draft draft{start_finding(context, "pipe-full", found), found.core};
    model::Finding& finding = draft.finding;
    finding.headline = fmt::format("{} cannot go on: {}", process_name(*writer.process),
                                   stuck_clause(context, found));
    explain_delivery(context, found, finding);
    add_delivery_evidence(context, found.lead, finding);
    finding.remedy = delivery_remedy(context, found);
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
