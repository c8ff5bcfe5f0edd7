#include <fmt/format.h>

#include <algorithm>

#include "tracer/diagnose/phases.h"
#include "tracer/diagnose/rules/delivery.h"
#include "tracer/diagnose/rules/rules.h"

namespace stucktrace::diagnose::rules {
namespace {

// What was said went into the very pipe that is full: the blocked write is later output.
bool is_the_blocked_stream(const Node& writer, int fd) {
  const model::OnFd* blocked = delivery_fd(writer);
  if (blocked->fd == fd) return true;
  if (!writer.process->fds) return false;
  return std::ranges::any_of(*writer.process->fds, [&](const model::FdEntry& entry) {
    return entry.fd == fd && entry.resource == blocked->resource;
  });
}

std::optional<model::Announcement> announcement(const RuleContext& context, const Node& writer) {
  const model::Process& process = *writer.process;
  if (context.samples.history != nullptr) {
    auto said = context.samples.history->announcement(process.pid);
    if (said && !is_the_blocked_stream(writer, said->fd)) return said;
  }
  for (const model::OutputTail& tail : process.output_tails) {
    if (!context.phrases.match(tail.last_line)) continue;
    return model::Announcement{tail.last_line, tail.fd, std::nullopt,
                               fmt::format("last line of {} (fd {})", tail.path, tail.fd)};
  }
  if (const auto phase = exit_phase(process)) {
    return model::Announcement{phase->frame, -1, std::nullopt,
                               fmt::format("thread {} is in {}", phase->tid, phase->frame)};
  }
  return std::nullopt;
}

// The main thread is the blocked one, waits for it, or is gone: then this write is what keeps the
// process from ending.
bool holds_up_the_exit(const RuleContext& context, const Case& found) {
  const Node& writer = context.graph[found.lead];
  const auto main = context.graph.find(base::main_thread(writer.pid()));
  if (!main || *main == found.lead) return true;
  const std::vector<NodeIndex> behind = reachable(context.graph, *main, context.cases.stuck);
  const bool in_core = std::ranges::binary_search(found.core, *main);
  return in_core || (context.cases.stuck[*main] && std::ranges::binary_search(behind, found.lead));
}

}  // namespace

std::vector<Draft> pipe_full_after_announce(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (const Case& found : context.cases.cases) {
    const Node& writer = context.graph[found.lead];
    if (!writes_pipe(writer) || !holds_up_the_exit(context, found)) continue;
    auto announced = announcement(context, writer);
    if (!announced) continue;
    Draft draft{start_finding(context, "pipe-full-after-announce", found), found.core};
    model::Finding& finding = draft.finding;
    const std::string said = announced->fd < 0 ? std::string("is on its way out")
                                               : fmt::format("said \"{}\"", announced->text);
    finding.headline = fmt::format("{} {} but cannot exit: {}", process_name(*writer.process), said,
                                   stuck_clause(context, found));
    explain_delivery(context, found, finding);
    finding.evidence.insert(
        finding.evidence.begin(),
        announced->fd < 0
            ? fmt::format("exit phase, read off the stack: {}", announced->evidence)
            : fmt::format("announced \"{}\": {}", announced->text, announced->evidence));
    add_delivery_evidence(context, found.lead, finding);
    finding.announced = std::move(announced);
    finding.remedy = delivery_remedy(context, found);
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
