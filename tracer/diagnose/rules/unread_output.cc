#include <fmt/format.h>

#include "tracer/diagnose/rules/delivery.h"
#include "tracer/diagnose/rules/rules.h"

namespace stucktrace::diagnose::rules {

// A child blocked writing its stdout or stderr, and who should read it waits for the child.
std::vector<Draft> unread_output(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (const Case& found : context.cases.cases) {
    const Node& writer = context.graph[found.lead];
    if (!is_standard_output(writer) || !waits_for_writer(context, found)) continue;
    Draft draft{start_finding(context, "unread-output", found), found.core};
    model::Finding& finding = draft.finding;
    const model::OnFd* fd = delivery_fd(writer);
    const std::string_view stream = fd->fd == 2 ? "stderr" : "stdout";
    finding.headline = fmt::format("nobody reads the {} of {}: {}", stream,
                                   process_name(*writer.process), stuck_clause(context, found));
    explain_delivery(context, found, finding);
    add_delivery_evidence(context, found.lead, finding);
    finding.remedy = delivery_remedy(context, found);
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
