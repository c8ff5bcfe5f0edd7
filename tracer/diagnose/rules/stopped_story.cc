#include "tracer/diagnose/rules/stopped_story.h"

#include <fmt/format.h>

#include <algorithm>

namespace stucktrace::diagnose::rules {
namespace {

bool is_stopped(const Node& node) {
  // 't' is its tracer's business.
  return node.thread->state == 'T' && !node.moves();
}

bool on_terminal(const Node& node) {
  if (!node.thread->syscall || !node.process->fds) return false;
  const auto fd = static_cast<int>(node.thread->syscall->call.args[0]);
  return std::ranges::any_of(*node.process->fds, [&](const model::FdEntry& entry) {
    return entry.fd == fd && entry.resource.kind == model::ResourceKind::kTty;
  });
}

}  // namespace

std::vector<StoppedWait> stopped_waits(const RuleContext& context) {
  std::vector<StoppedWait> waits;
  for (NodeIndex index = 0; index < context.graph.size(); ++index) {
    const Node& node = context.graph[index];
    if (node.moves() || node.timer || !node.outside.empty() || !node.opaque.empty()) continue;
    const Demand demand = demand_of(context.graph, index);
    const bool owed = demand == Demand::kDelivery || demand == Demand::kCompletion ||
                      demand == Demand::kLock || demand == Demand::kData;
    if (!owed || node.wait.inferred) continue;
    StoppedWait wait;
    wait.waiter = index;
    bool all = true;
    context.graph.for_each_releaser(index, [&](NodeIndex releaser) {
      all = all && is_stopped(context.graph[releaser]);
      wait.stopped.push_back(releaser);
    });
    if (!all || wait.stopped.empty()) continue;
    const auto duration = waited(context.samples, node);
    if (duration && *duration < context.stuck_after) continue;
    std::ranges::sort(wait.stopped);
    const auto repeated = std::ranges::unique(wait.stopped);
    wait.stopped.erase(repeated.begin(), repeated.end());
    wait.process = context.graph[wait.stopped.front()].process;
    const bool known = std::ranges::any_of(
        waits, [&](const StoppedWait& other) { return other.process == wait.process; });
    if (known) continue;
    const model::Process& process = *wait.process;
    wait.wants_terminal =
        process.terminal != 0 && process.process_group != process.terminal_foreground &&
        std::ranges::any_of(wait.stopped,
                            [&](NodeIndex stopped) { return on_terminal(context.graph[stopped]); });
    waits.push_back(std::move(wait));
  }
  return waits;
}

Draft stopped_draft(const RuleContext& context, std::string_view rule, const StoppedWait& wait) {
  Case pseudo;
  pseudo.lead = wait.waiter;
  pseudo.core = {wait.waiter};
  pseudo.closure = wait.stopped;
  pseudo.doubts = {"whether somebody will send SIGCONT cannot be known"};
  Draft draft{start_finding(context, rule, pseudo), pseudo.core};
  for (const std::string& doubt : strength_of(context.graph, context.samples, pseudo.core).doubts) {
    draft.finding.evidence.push_back("not proven: " + doubt);
  }
  draft.finding.explanation = {
      fmt::format("{} {}.", who(context.graph[wait.waiter]), what(context, wait.waiter)),
      fmt::format("Everyone who could end that wait is stopped (state T): {}.",
                  process_name(*wait.process))};
  return draft;
}

}  // namespace stucktrace::diagnose::rules
