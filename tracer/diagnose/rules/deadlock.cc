#include "tracer/diagnose/rules/deadlock_story.h"
#include "tracer/diagnose/rules/rules.h"

namespace stucktrace::diagnose::rules {

// Any other circle that no clock breaks.
std::vector<Draft> deadlock(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (const Case& found : context.cases.cases) {
    if (found.cycle.empty() || found.certainty == model::Certainty::kUntil) continue;
    drafts.push_back(circle_draft(context, "deadlock", found));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
