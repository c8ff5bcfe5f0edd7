#include <fmt/format.h>

#include <algorithm>

#include "tracer/diagnose/rules/rules.h"
#include "tracer/diagnose/story.h"

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

bool idle(const RuleContext& context, const model::Process& process) {
  const auto threads = context.graph.threads_of(process.pid);
  return !threads.empty() && std::ranges::none_of(threads, [&](NodeIndex index) {
    return context.graph[index].moves();
  });
}

}  // namespace

// A reader waits for end of file, but a process left over from what it once started still holds the
// write end: a daemon, a background job.
std::vector<Draft> leaked_write_end(const RuleContext& context) {
  std::vector<Draft> drafts;
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
      return is_bystander(context.samples.now, *holder, *node.process) && idle(context, *holder);
    });
    if (!bystanders) continue;

    Case found;
    found.lead = index;
    found.core = {index};
    for (const model::Process* holder : end.processes) {
      const auto threads = context.graph.threads_of(holder->pid);
      found.closure.insert(found.closure.end(), threads.begin(), threads.end());
    }
    std::ranges::sort(found.closure);
    found.doubts = strength_of(context.graph, context.samples, {index}).doubts;
    found.doubts.push_back(
        "that the holder of the write end will not write is inferred: it is an orphan with no "
        "relation to the reader, and idle");
    Draft draft{start_finding(context, "leaked-write-end", found), found.core};
    model::Finding& finding = draft.finding;
    finding.headline = fmt::format(
        "{} waits{} for end of file of a pipe that only {} still holds open for writing", who(node),
        for_how_long(context, index), list_processes(end.processes));
    finding.explanation = {
        fmt::format("{} {}.", who(node), what(context, index)),
        fmt::format("End of file comes when the last write end of {} is closed. The one left was "
                    "inherited by {}, which is nobody's pipeline stage any more.",
                    model::to_string(fd->resource), list_processes(end.processes))};
    for (const model::Holder& holder : context.samples.now.resources.at(fd->resource).holders) {
      if (!model::writes(holder.mode)) continue;
      const model::Process* process = context.samples.now.find(holder.pid);
      if (process == nullptr) continue;
      finding.evidence.push_back(
          fmt::format("{} holds the write end as fd {}, its parent is pid {}",
                      process_name(*process), holder.fd, process->parent));
    }
    finding.remedy =
        "Start the background process with its output sent elsewhere (>/dev/null "
        "2>&1), or make the pipe close-on-exec.";
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
