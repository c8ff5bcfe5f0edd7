#include <fmt/format.h>

#include "tracer/diagnose/rules/rules.h"
#include "tracer/diagnose/rules/stopped_story.h"

namespace stucktrace::diagnose::rules {

// SIGTTIN and SIGTTOU stop a background process that uses its terminal (termios(3), tty job
// control); nobody is told if the one who waits for it did not ask for stops.
std::vector<Draft> tty_background(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (const StoppedWait& wait : stopped_waits(context)) {
    if (!wait.wants_terminal) continue;
    Draft draft = stopped_draft(context, "tty-background", wait);
    const model::Process& process = *wait.process;
    draft.finding.headline = fmt::format(
        "{} waits{} for {}, which was stopped when it used the terminal from the background",
        who(context.graph[wait.waiter]), for_how_long(context, wait.waiter), process_name(process));
    draft.finding.evidence.push_back(
        fmt::format("process group {} is not the terminal's foreground group {} (/proc/{}/stat)",
                    process.process_group, process.terminal_foreground, process.pid));
    draft.finding.remedy = fmt::format(
        "Give it its input from elsewhere (</dev/null), or bring it to the foreground (fg, kill "
        "-CONT {}).",
        process.pid);
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
