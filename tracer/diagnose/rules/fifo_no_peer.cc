#include <fmt/format.h>

#include <algorithm>

#include "tracer/diagnose/rules/rules.h"
#include "tracer/diagnose/story.h"

namespace stucktrace::diagnose::rules {
namespace {

bool opens_other_end(const Node& node, const model::OnFd& fifo) {
  const model::OnFd* fd = first_fd(node);
  return node.wait.kind == model::WaitKind::kFifoOpen && fd != nullptr &&
         fd->resource == fifo.resource && fd->direction != fifo.direction;
}

}  // namespace

// open(2) of a fifo for writing blocks until somebody opens it for reading (fifo(7)), and nobody
// has it open. The other way round is how servers wait for clients, and no fault.
std::vector<Draft> fifo_no_peer(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (NodeIndex index = 0; index < context.graph.size(); ++index) {
    const Node& node = context.graph[index];
    const model::OnFd* fd = first_fd(node);
    if (node.wait.kind != model::WaitKind::kFifoOpen || node.moves() || fd == nullptr) continue;
    if (fd->direction != model::FdMode::kWrite) continue;
    const auto resource = context.samples.now.resources.find(fd->resource);
    if (resource == context.samples.now.resources.end()) continue;
    const bool reader = std::ranges::any_of(
        resource->second.holders, [](const auto& holder) { return model::reads(holder.mode); });
    const bool coming = std::ranges::any_of(
        context.graph.nodes(), [&](const Node& other) { return opens_other_end(other, *fd); });
    const auto duration = waited(context.samples, node);
    if (reader || coming || (duration && *duration < context.stuck_after)) continue;
    Case found;
    found.lead = index;
    found.core = {index};
    found.doubts = strength_of(context.graph, context.samples, found.core).doubts;
    found.doubts.push_back("somebody may still come and open the fifo for reading");
    Draft draft{start_finding(context, "fifo-no-peer", found), found.core};
    model::Finding& finding = draft.finding;
    const std::string& path = resource->second.label;
    finding.headline = fmt::format(
        "{} waits{} to open the fifo {} for writing, and nobody has it "
        "open for reading",
        who(node), for_how_long(context, index),
        path.empty() ? model::to_string(fd->resource) : path);
    finding.explanation = {fmt::format("{} {}.", who(node), what(context, index)),
                           "Opening a fifo for writing blocks until a reader opens it."};
    finding.remedy =
        "Start the reader first, or open the fifo with O_NONBLOCK (then ENXIO tells "
        "that nobody reads) or O_RDWR.";
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
