#pragma once

#include <string>
#include <vector>

#include "tracer/diagnose/graph.h"

namespace stucktrace::diagnose {

// Ways out of a closed set that are no edge of the graph, because whoever takes one of them is no
// releaser by the rules of what is waited for: a signal handler, a thread that opens a lock another
// one took. Each is a sentence; one of them and the set is not proven to be stuck for good.
std::vector<std::string> ways_out(const Graph& graph, const std::vector<NodeIndex>& threads);

}  // namespace stucktrace::diagnose
