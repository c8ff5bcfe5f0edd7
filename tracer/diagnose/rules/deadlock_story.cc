#include "tracer/diagnose/rules/deadlock_story.h"

#include <fmt/format.h>

#include <algorithm>

#include "tracer/base/text.h"

namespace stucktrace::diagnose::rules {
namespace {

// A reader on the circle, the write end of whose pipe is held by the one it keeps waiting.
std::optional<NodeIndex> pipe_reader(const RuleContext& context, const Case& found) {
  const auto reader = std::ranges::find_if(found.cycle, [&](NodeIndex index) {
    const Node& node = context.graph[index];
    const model::OnFd* fd = first_fd(node);
    return demand_of(context.graph, index) == Demand::kData && fd != nullptr &&
           fd->resource.kind == model::ResourceKind::kPipe;
  });
  return reader == found.cycle.end() ? std::nullopt : std::optional{*reader};
}

bool has_completion(const RuleContext& context, const Case& found) {
  return std::ranges::any_of(found.cycle, [&](NodeIndex index) {
    return demand_of(context.graph, index) == Demand::kCompletion;
  });
}

std::string remedy(const RuleContext& context, const Case& found) {
  const auto reader = pipe_reader(context, found);
  if (reader && has_completion(context, found)) {
    const OtherEnd end = other_end(context, *reader);
    const std::string holder = end.processes.empty()
                                   ? process_short(*context.graph[*reader].process)
                                   : process_short(*end.processes.front());
    return fmt::format(
        "Close the write end in {} (or send the message that ends the reader's "
        "work) before waiting for {}.",
        holder, process_short(*context.graph[*reader].process));
  }
  if (reader) {
    return "Let one side speak first: flush what it has written before it waits for the answer.";
  }
  return "Break the circle at one of its steps: end one of these waits before the next one begins, "
         "or give it a time-out and handle it.";
}

}  // namespace

Draft circle_draft(const RuleContext& context, std::string_view rule, const Case& found) {
  Draft draft{start_finding(context, rule, found), found.core};
  model::Finding& finding = draft.finding;
  std::vector<const model::Process*> processes;
  for (const NodeIndex index : found.cycle) {
    const model::Process* process = context.graph[index].process;
    if (std::ranges::find(processes, process) == processes.end()) processes.push_back(process);
  }
  const std::string duration = for_how_long(context, found.lead);
  if (processes.size() == 1) {
    finding.headline =
        fmt::format("{} threads of {} wait for each other in a circle{}{}", found.cycle.size(),
                    process_name(*processes[0]), duration, time_out_text(found));
  } else {
    finding.headline = fmt::format("{} wait for each other in a circle{}{}: {} {}",
                                   list_processes(processes), duration, time_out_text(found),
                                   who(context.graph[found.lead]), what(context, found.lead));
  }
  finding.explanation = explain_cycle(context, found);
  if (found.certainty == model::Certainty::kProven) {
    finding.explanation.push_back(
        "Nothing in this circle can go on by itself, and nobody else can "
        "break it.");
  }
  if (const auto reader = pipe_reader(context, found)) {
    const OtherEnd end = other_end(context, *reader);
    if (end.own_fd) {
      finding.explanation.push_back(
          fmt::format("{} also holds a write end of that pipe itself (fd {}): it would not see end "
                      "of file even if everybody else closed theirs.",
                      process_short(*context.graph[*reader].process), *end.own_fd));
    }
  }
  for (const NodeIndex index : found.cycle) {
    const Node& node = context.graph[index];
    if (node.wait.kind == model::WaitKind::kConnect || !is_request(context.graph, node)) continue;
    finding.explanation.push_back(
        fmt::format("{} waits for an answer on a connection that nobody has accepted: it lies in "
                    "the backlog of the listening socket.",
                    who(node)));
  }
  finding.remedy = remedy(context, found);
  return draft;
}

}  // namespace stucktrace::diagnose::rules
