#include <fmt/format.h>

#include <algorithm>

#include "tracer/diagnose/rules/rules.h"
#include "tracer/diagnose/story.h"

namespace stucktrace::diagnose::rules {

// The parent of a vfork(2) child sleeps until the child execs or ends; the child waits for it.
std::vector<Draft> vfork_stuck(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (const Case& found : context.cases.cases) {
    const auto parent = std::ranges::find_if(found.cycle, [&](NodeIndex index) {
      return context.graph[index].wait.kind == model::WaitKind::kVfork;
    });
    if (parent == found.cycle.end()) continue;
    Draft draft{start_finding(context, "vfork-stuck", found), found.core};
    model::Finding& finding = draft.finding;
    finding.headline = fmt::format(
        "{} waits{} for its vfork child to exec or end, and the child waits for its parent",
        who(context.graph[*parent]), for_how_long(context, *parent));
    finding.explanation = explain_cycle(context, found);
    finding.remedy =
        "Between vfork() and exec() do nothing that can wait for the parent; use "
        "posix_spawn() or fork().";
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
