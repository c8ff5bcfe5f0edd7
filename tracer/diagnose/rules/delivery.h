#pragma once

#include <optional>
#include <string>

#include "tracer/diagnose/story.h"

namespace stucktrace::diagnose::rules {

// Shared by the rules about bytes that nobody takes.

// The thread on the case's cycle, outside of the writer's process, that waits for the end of the
// writer's process; nullopt if there is none.
std::optional<NodeIndex> waits_for_writer(const RuleContext& context, const Case& found);

// "its thread 4713 (QueueFeederThread) has been blocked for 4.2 s writing 200 009 bytes to a full
// pipe that only P1 python3 (pid 4711) could drain — and that one waits for P2 to exit (...)".
std::string stuck_clause(const RuleContext& context, const Case& found);

// Why the writer would not even get EPIPE, who else holds what; plus the steps of the cycle.
void explain_delivery(const RuleContext& context, const Case& found, model::Finding& finding);

// What to change, by what stacks and descriptors show.
std::string delivery_remedy(const RuleContext& context, const Case& found);

// The blocked descriptor is (a copy of) the writer's stdout or stderr.
bool is_standard_output(const Node& writer);

}  // namespace stucktrace::diagnose::rules
