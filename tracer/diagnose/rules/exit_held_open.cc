#include <fmt/format.h>

#include "tracer/diagnose/rules/held_open.h"
#include "tracer/diagnose/rules/rules.h"

namespace stucktrace::diagnose::rules {

// The main process of a job has exited, but whoever reads the job's output (a build server, a test
// runner) goes on waiting: something the job left behind keeps that output open.
std::vector<Draft> exit_held_open(const RuleContext& context) {
  std::vector<Draft> drafts;
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
