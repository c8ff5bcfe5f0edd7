#include <fmt/format.h>

#include <algorithm>

#include "tracer/base/text.h"
#include "tracer/diagnose/phases.h"
#include "tracer/diagnose/story.h"

namespace stucktrace::diagnose {
namespace {

// Whose end the thread waits for, by the object in its frame.
std::string awaited_text(const RuleContext& context, const Node& node) {
  const auto& end = node.thread->awaited_end;
  if (!end) return {};
  std::string target;
  if (end->thread) {
    const auto index = context.graph.find(end->thread);
    if (!index) return {};
    target = thread_name(context.graph[*index]);
  } else {
    const model::Process* process = context.samples.now.find(end->process);
    if (process == nullptr) return {};
    target = process_name(*process);
  }
  return fmt::format("{} waits for the end of {}: the object \"{}\" in its frame {}", who(node),
                     target, end->object, frame_place(end->frame));
}

void add_sample_evidence(const RuleContext& context, const Case& found, model::Finding& finding) {
  if (!context.samples.single()) {
    finding.evidence.push_back(fmt::format(
        "two samples {} apart: the same waits, no progress (system call, context switches and CPU "
        "time of {} from /proc)",
        base::human_duration(context.samples.gap()),
        found.core.size() == 1 ? std::string("the thread")
                               : fmt::format("{} threads", found.core.size())));
  }
  for (const NodeIndex index : found.cycle) {
    const Node& node = context.graph[index];
    if (!node.source.empty() && !node.wait.inferred) finding.evidence.push_back(node.source);
  }
  for (const NodeIndex index : found.cycle) {
    if (auto text = awaited_text(context, context.graph[index]); !text.empty()) {
      finding.evidence.push_back(std::move(text));
    }
  }
  for (const std::string& doubt : found.doubts) finding.evidence.push_back("not proven: " + doubt);
}

// Why `to` could end the wait of `from`, as the end of "thread 7 ...".
std::string step_reason(const RuleContext& context, NodeIndex from, NodeIndex to) {
  const Release* release = context.graph.release(from, to);
  if (release == nullptr) return "could end that wait";
  const model::OnFutex* futex = futex_of(context.graph[from]);
  if (futex != nullptr && release->group) {
    const bool only = futex->is_private && context.graph[from].releases.size() == 1 &&
                      context.graph.group(*release->group).size() == 2;
    return only ? "is the only other thread there, so that nobody else could wake it"
                : "is among those that could wake it";
  }
  if (!release->resource || futex != nullptr) return release->why;
  return fmt::format("{} of {}", release->why, model::to_string(*release->resource));
}

}  // namespace

model::Finding start_finding(const RuleContext& context, std::string_view rule, const Case& found) {
  const Node& lead = context.graph[found.lead];
  model::Finding finding;
  finding.rule = std::string(rule);
  finding.certainty = found.certainty;
  finding.pid = lead.pid();
  finding.tid = lead.tid();
  if (const model::OnFd* fd = first_fd(lead)) {
    finding.resource = fd->resource;
  } else if (const model::OnFutex* futex = futex_of(lead)) {
    finding.resource = futex->futex;
  }
  for (const NodeIndex index : found.cycle) finding.cycle.push_back(context.graph[index].tid());
  finding.chain = chain_of(context, found);
  finding.resolves_in = found.resolves_in;
  add_sample_evidence(context, found, finding);
  return finding;
}

void add_delivery_evidence(const RuleContext& context, NodeIndex writer, model::Finding& finding) {
  const Node& node = context.graph[writer];
  const model::OnFd* fd = delivery_fd(node);
  if (fd == nullptr) return;
  const auto found = context.samples.now.resources.find(fd->resource);
  if (found == context.samples.now.resources.end()) return;
  const model::Resource& resource = found->second;
  if (resource.full.value_or(false)) {
    finding.evidence.push_back(fmt::format("{} is full: a copy of its write end polls not writable",
                                           model::to_string(fd->resource)));
  }
  if (resource.queued && resource.capacity) {
    finding.evidence.push_back(
        fmt::format("it holds {} unread (FIONREAD), its capacity is {} "
                    "(F_GETPIPE_SZ)",
                    base::human_bytes(*resource.queued), base::human_bytes(*resource.capacity)));
  }
  if (const auto asked = asked_to_write(node)) {
    std::string text = fmt::format("thread {} asked to write {} to fd {} (argument of {}())",
                                   node.tid(), base::human_bytes(*asked), fd->fd, call_name(node));
    if (resource.capacity && *asked > *resource.capacity) {
      text += fmt::format("; at least {} of them cannot be in the pipe yet",
                          base::human_bytes(*asked - *resource.capacity));
    }
    finding.evidence.push_back(std::move(text));
  }
  for (const model::Holder& holder : resource.holders) {
    const model::Process* process = context.samples.now.find(holder.pid);
    const std::string name =
        process == nullptr ? fmt::format("pid {}", holder.pid) : process_name(*process);
    const std::string_view end = holder.mode == model::FdMode::kRead    ? "the read end"
                                 : holder.mode == model::FdMode::kWrite ? "the write end"
                                                                        : "both ends";
    finding.evidence.push_back(fmt::format("{} holds {} of {} as fd {}", name, end,
                                           model::to_string(fd->resource), holder.fd));
  }
}

std::vector<std::string> explain_cycle(const RuleContext& context, const Case& found) {
  std::vector<std::string> sentences;
  const std::size_t size = found.cycle.size();
  for (std::size_t i = 0; i < size; ++i) {
    const NodeIndex from = found.cycle[i];
    const NodeIndex to = found.cycle[(i + 1) % size];
    if (context.graph[from].waits_for_itself) {
      sentences.push_back(fmt::format("{} {}: it owns that lock itself.", who(context.graph[from]),
                                      what(context, from)));
      continue;
    }
    const Node& target = context.graph[to];
    const bool same = target.pid() == context.graph[from].pid();
    sentences.push_back(fmt::format("{} {}; {} {}.", who(context.graph[from]), what(context, from),
                                    same ? thread_name(target) : who(target),
                                    step_reason(context, from, to)));
  }
  return sentences;
}

}  // namespace stucktrace::diagnose
