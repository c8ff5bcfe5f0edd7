#include <fmt/format.h>

#include <algorithm>

#include "tracer/diagnose/doubts.h"
#include "tracer/diagnose/rules/rules.h"
#include "tracer/diagnose/story.h"

namespace stucktrace::diagnose::rules {
namespace {

bool plain_pipe_read(const Node& node) {
  const model::OnFd* fd = first_fd(node);
  return node.wait.kind == model::WaitKind::kPipeRead && fd != nullptr && !node.timer &&
         node.wait.on.size() == 1 && fd->resource.kind == model::ResourceKind::kPipe;
}

bool reads_pipe(const Node& node, const model::ResourceId& pipe) {
  return plain_pipe_read(node) && first_fd(node)->resource == pipe;
}

// A write end in non-blocking mode is how a program wakes itself from a signal handler.
bool is_wake_up_pipe(const model::Process& process, const model::ResourceId& pipe) {
  if (!process.fds) return false;
  return std::ranges::any_of(*process.fds, [&](const model::FdEntry& entry) {
    return entry.resource == pipe && model::writes(entry.mode) && entry.nonblocking;
  });
}

// Everybody who could write waits for the same bytes or only for the end of somebody who does.
bool all_wait_on_it(const RuleContext& context, NodeIndex reader,
                    const std::vector<NodeIndex>& closure) {
  const model::ResourceId& pipe = first_fd(context.graph[reader])->resource;
  return std::ranges::all_of(closure, [&](NodeIndex index) {
    if (index == reader || reads_pipe(context.graph[index], pipe)) return true;
    // Another thread of a reading process that joins the reader.
    const Demand demand = demand_of(context.graph, index);
    const auto group = context.graph.threads_of(context.graph[index].pid());
    const bool has_reader = std::ranges::any_of(
        group, [&](NodeIndex other) { return reads_pipe(context.graph[other], pipe); });
    return has_reader && (demand == Demand::kCompletion || demand == Demand::kLock);
  });
}

}  // namespace

// A plain read that waits for data or end of file of an anonymous pipe, while the only write ends
// left are the readers' own: end of file can never come. Loops that poll their own pipe are healthy
// and do not look like this.
std::vector<Draft> self_held_write_end(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (NodeIndex index = 0; index < context.graph.size(); ++index) {
    const Node& node = context.graph[index];
    if (!plain_pipe_read(node) || !context.cases.stuck[index]) continue;
    const model::ResourceId& pipe = first_fd(node)->resource;
    const OtherEnd end = other_end(context, index);
    if (!end.own_fd || is_wake_up_pipe(*node.process, pipe)) continue;
    // Those who could write at once are asked first: mostly they end the matter.
    std::vector<NodeIndex> writers;
    context.graph.for_each_releaser(index, [&](NodeIndex writer) { writers.push_back(writer); });
    if (!all_wait_on_it(context, index, writers)) continue;
    const std::vector<NodeIndex> closure = reachable(context.graph, index, context.cases.stuck);
    if (!all_wait_on_it(context, index, closure)) continue;

    Case found;
    found.lead = index;
    found.closure = closure;
    found.core = closure;
    if (!std::ranges::binary_search(found.core, index)) {
      found.core.insert(std::ranges::lower_bound(found.core, index), index);
    }
    const Strength strength = strength_of(context.graph, context.samples, found.core);
    found.certainty = strength.certainty;
    found.doubts = strength.doubts;
    if (may_be_told(context.samples.now, *node.process, interrupt_of(*node.process))) {
      found.certainty = model::Certainty::kLikely;
      found.doubts.push_back(fmt::format(
          "process {} has signal handlers: one of them may write to the pipe", node.pid()));
    }
    const auto duration = waited(context.samples, node);
    if (found.certainty != model::Certainty::kProven && duration &&
        *duration < context.stuck_after) {
      continue;
    }
    Draft draft{start_finding(context, "self-held-write-end", found), found.core};
    model::Finding& finding = draft.finding;
    finding.headline = fmt::format(
        "{} waits{} for data or end of file of a pipe, but {} itself holds the only write end{}",
        who(node), for_how_long(context, index),
        end.processes.empty() ? std::string("it") : "with " + list_processes(end.processes) + " it",
        end.processes.empty() ? fmt::format(" (fd {})", *end.own_fd) : "s");
    finding.explanation = {
        fmt::format("{} {}.", who(node), what(context, index)),
        fmt::format("End of file comes when the last write end of {} is closed; {} holds one "
                    "itself as fd {} and cannot close it while it waits.",
                    model::to_string(pipe), process_short(*node.process), *end.own_fd),
        "Signals are assumed not to come: a handler that writes to the pipe would end the wait."};
    for (const model::Process* process : end.processes) {
      finding.explanation.push_back(
          fmt::format("{} holds another one and waits on the same pipe.", process_name(*process)));
    }
    finding.remedy = fmt::format(
        "Close the unused write end (fd {}) in the reader, right after "
        "fork() or by making it close-on-exec.",
        *end.own_fd);
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
