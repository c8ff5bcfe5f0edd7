#include "tracer/diagnose/rules/deadlock_story.h"
#include "tracer/diagnose/rules/rules.h"

namespace stucktrace::diagnose::rules {

// A circle that a time-out will break.
std::vector<Draft> timed_deadlock(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (const Case& found : context.cases.cases) {
    if (found.cycle.empty() || found.certainty != model::Certainty::kUntil) continue;
    drafts.push_back(circle_draft(context, "timed-deadlock", found));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
