#include "tracer/diagnose/rules/held_open.h"

#include <fmt/format.h>

#include <algorithm>

namespace stucktrace::diagnose::rules {
namespace {

bool is_ancestor(const model::Snapshot& now, base::Pid ancestor, const model::Process& process) {
  constexpr int kMaxDepth = 256;  // a torn snapshot may have a loop in it
  base::Pid at = process.parent;
  for (int depth = 0; depth < kMaxDepth && at; ++depth) {
    if (at == ancestor) return true;
    const model::Process* parent = now.find(at);
    if (parent == nullptr || parent->parent == at) return false;
    at = parent->parent;
  }
  return false;
}

// An orphan that has nothing to do with the reader: its own parent is gone (init or a subreaper
// took it), it is neither the reader's ancestor nor descendant, nor a sibling (a pipeline's stage).
bool is_bystander(const model::Snapshot& now, const model::Process& holder,
                  const model::Process& reader) {
  // A parent that was merely not looked at says nothing: its child is somebody's pipeline stage.
  const bool orphan = holder.parent == base::Pid{1};
  return orphan && holder.pid != reader.pid && holder.parent != reader.parent &&
         !is_ancestor(now, holder.pid, reader) && !is_ancestor(now, reader.pid, holder);
}

bool is_output_of(const model::Process& holder, const model::ResourceId& pipe) {
  return holder.fds && std::ranges::any_of(*holder.fds, [&](const model::FdEntry& entry) {
           return entry.resource == pipe && (entry.fd == 1 || entry.fd == 2);
         });
}

// The reader takes its standard input from the holder's standard output: a logger, which lives as
// long as whatever it writes down.
bool is_pipeline(const model::OnFd& read, const model::Process& holder) {
  return read.fd == 0 && is_output_of(holder, read.resource);
}

// It sleeps, and has not slept as long as the reader waits: what it does next nobody has seen yet.
bool sleeps_before_something(const Node& node, base::Nanoseconds reader_waits) {
  if (!is_nap(node.wait) || node.motion == Motion::kHeartbeat) return false;
  const auto length = node.wait.timeout ? node.wait.timeout : node.wait.remaining;
  return length && *length > reader_waits;
}

// Waits for clients, a peer, a terminal.
bool waits_for_input(const Node& node) {
  return !node.outside.empty() && node.wait.kind != model::WaitKind::kSignalWait;
}

// Nothing is to be expected of it that would go to the reader.
bool idle(const RuleContext& context, const model::Process& process, NodeIndex reader) {
  const auto threads = context.graph.threads_of(process.pid);
  const Node& waiting = context.graph[reader];
  const base::Nanoseconds since = waited(context.samples, waiting).value_or(context.stuck_after);
  const bool pipeline = is_pipeline(*first_fd(waiting), process);
  return !threads.empty() && std::ranges::none_of(threads, [&](NodeIndex index) {
    const Node& node = context.graph[index];
    return node.moves() || sleeps_before_something(node, since) ||
           (pipeline && waits_for_input(node));
  });
}

bool is_output_of_a_gone_job(const model::Snapshot& now, const model::Process& holder,
                             const model::Process& reader, const model::ResourceId& pipe) {
  const base::Pid leader{holder.process_group};
  if (leader == holder.pid || holder.process_group == reader.process_group) return false;
  return now.find(leader) == nullptr && is_output_of(holder, pipe);
}

}  // namespace

std::vector<HeldOpen> held_open_pipes(const RuleContext& context) {
  std::vector<HeldOpen> found;
  const model::Snapshot& now = context.samples.now;
  for (NodeIndex index = 0; index < context.graph.size(); ++index) {
    const Node& node = context.graph[index];
    const model::OnFd* fd = first_fd(node);
    const bool plain = node.wait.kind == model::WaitKind::kPipeRead && fd != nullptr &&
                       !node.timer && !node.ready && node.motion == Motion::kStill &&
                       fd->resource.kind == model::ResourceKind::kPipe;
    if (!plain || !node.process->in_tree) continue;
    const auto duration = waited(context.samples, node);
    if (duration && *duration < context.stuck_after) continue;
    const OtherEnd end = other_end(context, index);
    if (end.processes.empty() || end.own_fd || !node.opaque.empty()) continue;
    const bool bystanders = std::ranges::all_of(end.processes, [&](const model::Process* holder) {
      return is_bystander(now, *holder, *node.process) && idle(context, *holder, index);
    });
    if (!bystanders) continue;
    const bool output = std::ranges::all_of(end.processes, [&](const model::Process* holder) {
      return is_output_of_a_gone_job(now, *holder, *node.process, fd->resource);
    });
    found.push_back({index, end.processes, output});
  }
  return found;
}

Draft held_open_draft(const RuleContext& context, std::string_view rule, const HeldOpen& held) {
  Case found;
  found.lead = held.reader;
  found.core = {held.reader};
  for (const model::Process* holder : held.holders) {
    const auto threads = context.graph.threads_of(holder->pid);
    found.closure.insert(found.closure.end(), threads.begin(), threads.end());
  }
  std::ranges::sort(found.closure);
  found.doubts = strength_of(context.graph, context.samples, {held.reader}).doubts;
  found.doubts.push_back(
      "that the holder of the write end will not write is inferred: it is an orphan with no "
      "relation "
      "to the reader, and idle");
  Draft draft{start_finding(context, rule, found), found.core};
  const Node& node = context.graph[held.reader];
  const model::OnFd* fd = first_fd(node);
  draft.finding.explanation = {
      fmt::format("{} {}.", who(node), what(context, held.reader)),
      fmt::format("End of file comes when the last write end of {} is closed. The one left was "
                  "inherited by {}, which is nobody's pipeline stage any more.",
                  model::to_string(fd->resource), list_processes(held.holders))};
  for (const model::Holder& holder : context.samples.now.resources.at(fd->resource).holders) {
    if (!model::writes(holder.mode)) continue;
    const model::Process* process = context.samples.now.find(holder.pid);
    if (process == nullptr) continue;
    draft.finding.evidence.push_back(
        fmt::format("{} holds the write end as fd {}, its parent is pid {}", process_name(*process),
                    holder.fd, process->parent));
  }
  return draft;
}

}  // namespace stucktrace::diagnose::rules
