#include <fmt/format.h>

#include <algorithm>

#include "tracer/diagnose/rules/rules.h"
#include "tracer/diagnose/story.h"

namespace stucktrace::diagnose::rules {
namespace {

// The listening socket a connect(2) or an unanswered request waits at; nullptr where it is unknown.
const model::Resource* listener_of(const RuleContext& context, const Node& node) {
  const auto& resources = context.samples.now.resources;
  for (const model::WaitOn& on : node.wait.on) {
    const auto* fd = std::get_if<model::OnFd>(&on);
    if (fd == nullptr) continue;
    const auto own = resources.find(fd->resource);
    if (own == resources.end() || !own->second.peer) continue;
    const auto peer = resources.find(*own->second.peer);
    if (peer != resources.end()) return &peer->second;
  }
  return nullptr;
}

}  // namespace

// Somebody waits to be connected, or to be answered on a connection that nobody accepted, and those
// who would accept cannot go on.
std::vector<Draft> backlog_full(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (const Case& found : context.cases.cases) {
    const Node& client = context.graph[found.lead];
    if (demand_of(context.graph, found.lead) != Demand::kRequest) continue;
    const bool connecting = client.wait.kind == model::WaitKind::kConnect;
    if (!connecting && !found.cycle.empty()) continue;  // an answer that is owed: deadlock
    Draft draft{start_finding(context, "backlog-full", found), found.core};
    model::Finding& finding = draft.finding;
    const OtherEnd end = other_end(context, found.lead);
    const std::string server =
        end.processes.empty() ? std::string("whoever listens") : list_processes(end.processes);
    finding.headline =
        fmt::format("{} waits{} for {} that {} would have to accept — and {} cannot go on",
                    who(client), for_how_long(context, found.lead),
                    connecting ? "a connection" : "an answer on a connection", server,
                    end.processes.size() > 1 ? "none of them" : "that one");
    finding.explanation = explain_cycle(context, found);
    if (found.cycle.empty()) {
      finding.explanation.push_back(
          fmt::format("{} {}; of all threads that could accept none can "
                      "go on.",
                      who(client), what(context, found.lead)));
    }
    const model::Resource* listener = listener_of(context, client);
    if (listener != nullptr && listener->backlog_queued) {
      finding.evidence.push_back(fmt::format(
          "{} connection{} not accepted yet{}", *listener->backlog_queued,
          *listener->backlog_queued == 1 ? " is" : "s are",
          listener->backlog ? fmt::format(", the backlog is {}", *listener->backlog) : ""));
    }
    finding.remedy =
        "Accept connections in a thread (or event loop) that waits for nothing else, and give "
        "connect() and the request a time-out.";
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
