#pragma once

#include <cstdint>
#include <vector>

#include "tracer/diagnose/graph.h"

namespace stucktrace::diagnose {

using NodeSet = std::vector<bool>;  // one flag per node of the graph

// What does not count as a way out, for one strength of statement.
enum class Ignore : std::uint8_t {
  kNothing,           // what is left is stuck for good: `proven`
  kTimers,            // stuck until a deadline: `until`
  kTimersAndUnknown,  // stuck unless somebody unseen acts: `likely`
};

// The greatest set of threads none of which can ever go on: each one's releasers are all inside,
// and nothing that counts lies outside of the set. Linear in threads and reasons. Those in `held`
// are taken to be in it, whatever could free them.
NodeSet stuck_set(const Graph& graph, Ignore ignore, const std::vector<NodeIndex>& held = {});

// Every thread that `from` waits for, directly or not, sorted; `from` itself only if it is on a
// cycle. Does not go on beyond threads for which `enter` is false.
std::vector<NodeIndex> reachable(const Graph& graph, NodeIndex from, const NodeSet& enter);

// Every thread that waits for one of `targets`, directly or not; a target itself only if it waits
// for another one or for itself. The other way round as reachable(), for all at once.
NodeSet reaching(const Graph& graph, const std::vector<NodeIndex>& targets, const NodeSet& enter);

// A shortest cycle through `from` over threads in `allowed`, beginning with it, in waiting order;
// among equals the one of the lowest tids. {from} for a thread that waits for itself; empty if
// there is none.
std::vector<NodeIndex> shortest_cycle(const Graph& graph, NodeIndex from, const NodeSet& allowed);

// The groups of threads in `allowed` that wait for each other in circles (strongly connected, two
// or more, or one that waits for itself), each sorted, ordered by their first thread.
std::vector<std::vector<NodeIndex>> knots(const Graph& graph, const NodeSet& allowed);

}  // namespace stucktrace::diagnose
