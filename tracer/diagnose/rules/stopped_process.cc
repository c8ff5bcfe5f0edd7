#include <fmt/format.h>

#include "tracer/diagnose/rules/rules.h"
#include "tracer/diagnose/rules/stopped_story.h"

namespace stucktrace::diagnose::rules {

std::vector<Draft> stopped_process(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (const StoppedWait& wait : stopped_waits(context)) {
    if (wait.wants_terminal) continue;  // tty-background
    Draft draft = stopped_draft(context, "stopped-process", wait);
    draft.finding.headline = fmt::format(
        "{} waits{} for {}, which is stopped by a signal", who(context.graph[wait.waiter]),
        for_how_long(context, wait.waiter), process_name(*wait.process));
    draft.finding.remedy = fmt::format("Continue it: kill -CONT {}.", wait.process->pid);
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
