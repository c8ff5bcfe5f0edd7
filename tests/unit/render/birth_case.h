#pragma once

#include "tests/support/event_script.h"
#include "tracer/model/verdict.h"

namespace stucktrace::test {

// The case the tool was made for, by hand: a Python program P (4711) joins a child S (4712) for at
// most 5 s; S ran a shell (4713), its feeder thread (4714) is blocked writing the result into a
// full pipe that P reads only after the join.
EventScript birth_case();
// The finding a sample 1.2 s into it gives; times relative to EventScript::kStart.
model::FindingRecord birth_finding();
// The whole report of that moment.
model::Report birth_report();

}  // namespace stucktrace::test
