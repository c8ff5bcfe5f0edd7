#include "tracer/cli/traced_calls.h"

#include "tracer/engine/launch_filter.h"

namespace stucktrace::cli {

using syscalls::TraceSet;

model::TracedCalls traced_calls(const engine::TracerOptions& options) {
  const bool filtered = options.filter.has_value();
  TraceSet::Names names = (filtered ? options.filter->trace : options.trace).names();
  model::TracedCalls traced{std::move(names.calls), names.all_but, {}, filtered};
  if (!filtered) return traced;
  TraceSet in_part = TraceSet::none();
  for (const auto& rule : options.filter->rules) {
    // A rule may stand for what the tracer itself needs to see.
    if (!rule.conditions.empty() && options.filter->trace.contains(rule.id)) in_part.add(rule.id);
  }
  for (const auto& rule : options.filter->rules) {
    if (rule.conditions.empty()) in_part.remove(rule.id);
  }
  traced.in_part = in_part.names().calls;
  return traced;
}

TraceSet shown_calls(const model::TracedCalls& traced) {
  return TraceSet::of({traced.calls, traced.all_but});
}

TraceSet fully_shown_calls(const model::TracedCalls& traced) {
  TraceSet set = shown_calls(traced);
  const TraceSet in_part = TraceSet::of({traced.in_part, false});
  for (std::size_t id = 0; id < static_cast<std::size_t>(syscalls::Sys::kUnknown); ++id) {
    const auto call = static_cast<syscalls::Sys>(id);
    if (in_part.contains(call)) set.remove(call);
  }
  return set;
}

}  // namespace stucktrace::cli
