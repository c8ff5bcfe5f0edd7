#include "tracer/diagnose/rules/delivery.h"

#include <fmt/format.h>

#include <algorithm>

#include "tracer/base/text.h"
#include "tracer/diagnose/phases.h"

namespace stucktrace::diagnose::rules {
namespace {

std::string_view container(const model::OnFd& fd) {
  switch (fd.resource.kind) {
    case model::ResourceKind::kPipe:
      return "pipe";
    case model::ResourceKind::kFifo:
      return "fifo";
    case model::ResourceKind::kMessageQueue:
    case model::ResourceKind::kSysvQueue:
      return "message queue";
    default:
      return "socket";
  }
}

// Completion waits, and polls of one descriptor that only the writer's process holds: a sentinel.
bool waits_for_end_of(const RuleContext& context, NodeIndex waiter, base::Pid pid) {
  const Node& node = context.graph[waiter];
  const auto only_that_process = [&] {
    return !node.releases.empty() &&
           std::ranges::all_of(node.releases, [&](const Release& release) {
             const NodeIndex member =
                 release.group ? context.graph.group(*release.group)[0] : release.node;
             return context.graph[member].pid() == pid;
           });
  };
  const Demand demand = demand_of(context.graph, waiter);
  if (demand == Demand::kCompletion) {
    return std::ranges::any_of(node.releases, [&](const Release& release) {
      const NodeIndex member =
          release.group ? context.graph.group(*release.group)[0] : release.node;
      return context.graph[member].pid() == pid;
    });
  }
  return demand == Demand::kData && node.wait.kind == model::WaitKind::kMultiplex &&
         only_that_process();
}

}  // namespace

std::optional<NodeIndex> waits_for_writer(const RuleContext& context, const Case& found) {
  const base::Pid pid = context.graph[found.lead].pid();
  for (const NodeIndex index : found.cycle) {
    if (context.graph[index].pid() != pid && waits_for_end_of(context, index, pid)) return index;
  }
  return std::nullopt;
}

std::string stuck_clause(const RuleContext& context, const Case& found) {
  const Node& writer = context.graph[found.lead];
  const model::OnFd* fd = delivery_fd(writer);
  const auto asked = asked_to_write(writer);
  std::string text =
      writer.tid() == base::main_thread(writer.pid()) ? "it" : "its " + thread_name(writer);
  const std::string duration = for_how_long(context, found.lead);
  text += duration.empty() ? " is blocked" : " has been blocked" + duration;
  text += fmt::format(" writing{} to a full {}", asked ? " " + base::human_bytes(*asked) : "",
                      container(*fd));
  const OtherEnd end = other_end(context, found.lead);
  if (end.processes.empty()) {
    return text +
           (end.own_fd ? " that nobody but itself could drain" : " whose reader cannot be seen");
  }
  text += fmt::format(" that only {} could drain", list_processes(end.processes));
  const auto waiter = waits_for_writer(context, found);
  if (!waiter) return text;
  const model::Process* process = context.graph[*waiter].process;
  const bool same = end.processes.size() == 1 && end.processes.front() == process;
  return text + fmt::format(" — and {} waits for {} to exit{}",
                            same ? std::string("that one") : process_short(*process),
                            process_short(*writer.process), time_out_text(found));
}

void explain_delivery(const RuleContext& context, const Case& found, model::Finding& finding) {
  finding.explanation = explain_cycle(context, found);
  const Node& writer = context.graph[found.lead];
  const OtherEnd end = other_end(context, found.lead);
  const model::OnFd* fd = delivery_fd(writer);
  if (found.cycle.empty()) {
    finding.explanation.push_back(
        end.processes.empty()
            ? fmt::format("Nobody else holds the read end of {}, so nobody can make room.",
                          model::to_string(fd->resource))
            : fmt::format("Of all threads that could read {} none can go on.",
                          model::to_string(fd->resource)));
  } else if (found.certainty == model::Certainty::kUntil) {
    finding.explanation.push_back(
        found.resolves_in
            ? fmt::format("Only a time-out breaks the circle, in {} at the latest.",
                          base::human_duration(*found.resolves_in))
            : std::string("Only a deadline of the waiting loop could break the circle; if it has "
                          "one, it is not visible."));
  } else if (found.certainty == model::Certainty::kProven) {
    finding.explanation.push_back(
        "Nothing in this circle can go on by itself, and nobody else can "
        "break it.");
  }
  const bool breaks = container(*fd) != "message queue";  // only pipes and sockets know EPIPE
  if (breaks && end.own_fd && !end.processes.empty()) {
    finding.explanation.push_back(
        fmt::format("{} itself also holds the read end (fd {}): even if every other reader died, "
                    "the write would not fail with EPIPE, it would stay blocked.",
                    process_short(*writer.process), *end.own_fd));
  }
}

bool is_standard_output(const Node& writer) {
  const model::OnFd* fd = delivery_fd(writer);
  if (fd == nullptr) return false;
  if (fd->fd == 1 || fd->fd == 2) return true;
  if (!writer.process->fds) return false;
  return std::ranges::any_of(*writer.process->fds, [&](const model::FdEntry& entry) {
    return (entry.fd == 1 || entry.fd == 2) && entry.resource == fd->resource;
  });
}

namespace {

// " at main (target/app.py:78)": the program's own line that waits for the writer's process, where
// its Python frames show it; else "".
std::string waiting_line(const RuleContext& context, const Case& found) {
  const auto waiter = waits_for_writer(context, found);
  if (!waiter) return "";
  const auto own = own_frame(*context.graph[*waiter].thread);
  return own ? " at " + frame_place(*own) : std::string();
}

}  // namespace

std::string delivery_remedy(const RuleContext& context, const Case& found) {
  const std::string at = waiting_line(context, found);
  const Node& writer = context.graph[found.lead];
  const OtherEnd end = other_end(context, found.lead);
  const bool feeder = frame_wait(*writer.thread) == FrameWait::kQueueFeeder ||
                      writer.thread->name.starts_with("QueueFeederThread") ||
                      uses_multiprocessing(*writer.process);
  const std::string reader =
      end.processes.empty() ? std::string("the reader") : process_short(*end.processes.front());
  if (feeder && end.processes.empty()) {
    return "Have something take what is left in the queue before the process ends, or call "
           "q.cancel_join_thread() if that data may be lost.";
  }
  if (feeder) {
    return fmt::format(
        "In {}, take everything out of the queue (q.get()) before join(){}; or call "
        "q.cancel_join_thread() in {} before it returns if the data may be lost.",
        reader, at, process_short(*writer.process));
  }
  if (is_standard_output(writer)) {
    const bool python = std::ranges::any_of(
        end.processes, [](const model::Process* process) { return uses_subprocess(*process); });
    return python ? fmt::format(
                        "In {}, use communicate() instead of wait(){}, or send the output to "
                        "a file.",
                        reader, at)
                  : fmt::format(
                        "In {}, read the output until end of file before waiting for {} to "
                        "exit{}, or send the output to a file.",
                        reader, process_short(*writer.process), at);
  }
  if (end.processes.empty()) {
    return "Close the read end that the writer itself holds as soon as it is not needed, and keep "
           "a reader alive for as long as there is data to write.";
  }
  return fmt::format(
      "In {}, read the pipe before waiting for {}{}, or read it from another thread.", reader,
      process_short(*writer.process), at);
}

}  // namespace stucktrace::diagnose::rules
