#pragma once

#include "tracer/diagnose/cases.h"

namespace stucktrace::diagnose {

// Whether something is owed in a closed set that has a circle (the principle of demand.h). May
// lower the case's certainty and add a doubt for each thread whose wait it had to interpret.
bool owes(const Graph& graph, Case& found);

}  // namespace stucktrace::diagnose
