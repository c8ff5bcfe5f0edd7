#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "tracer/diagnose/rules/held_open.h"
#include "tracer/diagnose/rules/rules.h"

namespace stucktrace::diagnose::rules {
namespace {

using model::ResourceKind;

constexpr std::size_t kShown = 5;  // of those who keep it open

bool is_socket(ResourceKind kind) {
  return kind == ResourceKind::kUnixSocket || kind == ResourceKind::kTcpSocket ||
         kind == ResourceKind::kOtherSocket;
}

// Whoever reads from it learns of its end only when the last holder has closed it. A terminal is
// not read to its end.
bool is_read_to_its_end(const model::FdEntry& entry) {
  const ResourceKind kind = entry.resource.kind;
  return kind == ResourceKind::kPipe || kind == ResourceKind::kFifo || is_socket(kind);
}

// Events do not tell sockets apart, samples do.
bool same_end(const model::FdEntry& output, const model::FdEntry& held) {
  if (!model::writes(held.mode)) return false;
  if (output.resource == held.resource) return true;
  return is_socket(output.resource.kind) && is_socket(held.resource.kind) &&
         output.resource.inode == held.resource.inode;
}

std::string_view stream(int fd) {
  return fd == 1 ? "standard output" : fd == 2 ? "standard error" : "descriptor";
}

struct Kept {
  const model::Process* process = nullptr;
  const model::FdEntry* held = nullptr;
  const model::FdEntry* output = nullptr;
};

// What is left of the tree and keeps an output of the command, by pid, each with one descriptor.
std::vector<Kept> keepers(const model::Snapshot& now, const GoneJob& job) {
  std::vector<Kept> kept;
  for (const model::Process& process : now.processes) {
    if (!process.in_tree || !process.fds || process.state == 'Z') continue;
    for (const model::FdEntry& held : *process.fds) {
      const auto output = std::ranges::find_if(job.outputs, [&](const model::FdEntry& entry) {
        return is_read_to_its_end(entry) && same_end(entry, held);
      });
      if (output == job.outputs.end()) continue;
      kept.push_back({&process, &held, &*output});
      break;
    }
  }
  return kept;
}

// The launched command itself has ended, and something it has left behind keeps its output open:
// whoever reads that (a build server, `$(...)`) need not be visible.
std::vector<Draft> output_of_the_command(const RuleContext& context) {
  if (context.samples.history == nullptr) return {};
  const auto job = context.samples.history->gone_job();
  const model::Snapshot& now = context.samples.now;
  if (!job || now.taken_at - job->ended < context.stuck_after) return {};
  const std::vector<Kept> kept = keepers(now, *job);
  if (kept.empty()) return {};
  const model::Process& first = *kept.front().process;
  const model::FdEntry& held = *kept.front().held;

  Draft draft;
  model::Finding& finding = draft.finding;
  finding.rule = "exit-held-open";
  finding.lasting = true;
  finding.pid = first.pid;
  finding.tid = base::main_thread(first.pid);
  finding.resource = held.resource;
  std::vector<const model::Process*> holders;
  for (const Kept& each : kept) {
    holders.push_back(each.process);
    const std::string text =
        fmt::format("keeps the {} of the command open: {} is its fd {}", stream(each.output->fd),
                    model::to_string(each.held->resource), each.held->fd);
    if (finding.chain.size() < kShown) {
      finding.chain.push_back({each.process->pid,
                               base::main_thread(each.process->pid),
                               process_name(*each.process),
                               text,
                               "",
                               now.taken_at - job->ended,
                               {}});
    }
    finding.evidence.push_back(fmt::format("{} {} (/proc/{}/fd/{})", process_name(*each.process),
                                           text, each.process->pid, each.held->fd));
  }
  finding.headline = fmt::format(
      "the command {} (pid {}) has ended, but {} was left behind and keeps its output open (fd {} "
      "on {}): whoever reads that to its end waits on",
      job->comm, job->pid, list_processes(holders), held.fd, model::to_string(held.resource));
  finding.explanation = {fmt::format(
      "A reader of {} sees its end when the last write end is closed. The command was given it as "
      "its {}, and what it started has inherited it.",
      model::to_string(held.resource), stream(kept.front().output->fd))};
  finding.evidence.emplace_back(
      "not proven: that somebody reads the output to its end is inferred: it is a pipe or socket");
  finding.remedy = fmt::format(
      "End it (kill {}), or run with --close-orphans; start background processes with their output "
      "sent elsewhere (>/dev/null 2>&1 </dev/null), or have the command wait for them.",
      first.pid);
  return {std::move(draft)};
}

}  // namespace

// The main process of a job has exited, but whoever reads the job's output (a build server, a test
// runner) goes on waiting: something the job left behind keeps that output open.
std::vector<Draft> exit_held_open(const RuleContext& context) {
  std::vector<Draft> drafts = output_of_the_command(context);
  for (const HeldOpen& held : held_open_pipes(context)) {
    if (!held.is_job_output) continue;
    Draft draft = held_open_draft(context, "exit-held-open", held);
    draft.finding.headline = fmt::format(
        "{} waits{} for the end of the output of a job whose main process is gone: {} was left "
        "behind and keeps it open",
        who(context.graph[held.reader]), for_how_long(context, held.reader),
        list_processes(held.holders));
    draft.finding.remedy = fmt::format(
        "End it (kill {}); start background processes with their output sent elsewhere (>/dev/null "
        "2>&1 </dev/null, setsid), or have the job wait for them.",
        held.holders.front()->pid);
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
