#include <fmt/format.h>

#include "tracer/diagnose/rules/held_open.h"
#include "tracer/diagnose/rules/rules.h"

namespace stucktrace::diagnose::rules {

// A reader waits for end of file, but a process left over from what it once started still holds the
// write end: a daemon, a background job.
std::vector<Draft> leaked_write_end(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (const HeldOpen& held : held_open_pipes(context)) {
    if (held.is_job_output) continue;  // exit-held-open
    Draft draft = held_open_draft(context, "leaked-write-end", held);
    draft.finding.headline = fmt::format(
        "{} waits{} for end of file of a pipe that only {} still holds open for writing",
        who(context.graph[held.reader]), for_how_long(context, held.reader),
        list_processes(held.holders));
    draft.finding.remedy =
        "Start the background process with its output sent elsewhere (>/dev/null "
        "2>&1), or make the pipe close-on-exec.";
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
