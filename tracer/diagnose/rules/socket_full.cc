#include <fmt/format.h>

#include <algorithm>

#include "tracer/diagnose/rules/delivery.h"
#include "tracer/diagnose/rules/rules.h"

namespace stucktrace::diagnose::rules {

std::vector<Draft> socket_full(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (const Case& found : context.cases.cases) {
    const Node& writer = context.graph[found.lead];
    if (delivery_fd(writer) == nullptr || writes_pipe(writer)) continue;
    if (writer.wait.kind == model::WaitKind::kMsgQueue) continue;  // queue-full
    Draft draft{start_finding(context, "socket-full", found), found.core};
    model::Finding& finding = draft.finding;
    const auto senders = std::ranges::count_if(
        found.cycle, [&](NodeIndex index) { return delivery_fd(context.graph[index]) != nullptr; });
    finding.headline = fmt::format("{} cannot go on: {}", process_name(*writer.process),
                                   stuck_clause(context, found));
    if (senders > 1) finding.headline += "; both sides are sending and neither reads";
    explain_delivery(context, found, finding);
    add_delivery_evidence(context, found.lead, finding);
    finding.remedy =
        senders > 1 ? "Read on both sides while sending: use non-blocking sends with poll(), or a "
                      "thread of its own for reading."
                    : delivery_remedy(context, found);
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
