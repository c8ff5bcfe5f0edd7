#include <fmt/format.h>

#include "tracer/base/text.h"
#include "tracer/diagnose/rules/delivery.h"
#include "tracer/diagnose/rules/rules.h"

namespace stucktrace::diagnose::rules {

// A sender of a message queue (POSIX or System V) whose receivers wait for the sender.
std::vector<Draft> queue_full(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (const Case& found : context.cases.cases) {
    const Node& sender = context.graph[found.lead];
    if (sender.wait.kind != model::WaitKind::kMsgQueue || delivery_fd(sender) == nullptr) continue;
    Draft draft{start_finding(context, "queue-full", found), found.core};
    model::Finding& finding = draft.finding;
    finding.headline = fmt::format("{} cannot go on: {}", process_name(*sender.process),
                                   stuck_clause(context, found));
    explain_delivery(context, found, finding);
    const auto queue = context.samples.now.resources.find(delivery_fd(sender)->resource);
    if (queue != context.samples.now.resources.end() && queue->second.queued) {
      finding.evidence.push_back(fmt::format("{} holds {} undelivered",
                                             model::to_string(queue->first),
                                             base::human_bytes(*queue->second.queued)));
    }
    finding.remedy =
        "Receive from the queue before waiting for its sender (or from a thread of its own), make "
        "the queue larger, or send with a time-out (mq_timedsend(), IPC_NOWAIT) and handle it.";
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
