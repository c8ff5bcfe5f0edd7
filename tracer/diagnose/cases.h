#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tracer/diagnose/closure.h"
#include "tracer/diagnose/demand.h"

namespace stucktrace::diagnose {

// A closed set of waiting threads in which something is owed (demand.h): a root cause. Rules give
// it a name and tell its story.
struct Case {
  NodeIndex lead = 0;              // the thread to start reading at: the delivery, if there is one
  std::vector<NodeIndex> core;     // the threads that wait for each other, sorted; {lead} if none
  std::vector<NodeIndex> cycle;    // a shortest one, from lead; empty if there is none
  std::vector<NodeIndex> closure;  // everybody who could end it if he could go on, sorted
  model::Certainty certainty = model::Certainty::kLikely;
  std::optional<base::Nanoseconds> resolves_in;
  std::vector<std::string> doubts;  // why not proven: what it stands on, a sentence each
};

struct Cases {
  std::vector<Case> cases;  // no two about the same threads
  // Threads that wait for somebody in a closed set (whatever may be missing from our sight).
  NodeSet stuck;
};

// `stuck_after`: how long a wait must have lasted where the verdict rests on time.
Cases find_cases(const Graph& graph, const Samples& samples, base::Nanoseconds stuck_after);

// How long the thread has been in its wait; nullopt where nothing tells.
std::optional<base::Nanoseconds> waited(const Samples& samples, const Node& node);

// Facts behind a judgement over some threads, which rules without a circle need too.
struct Strength {
  model::Certainty certainty = model::Certainty::kLikely;
  std::vector<std::string> doubts;
};
// For a closed set without timers: proven unless something in it is unknown, inferred, was seen
// only once, or has a way out that is no edge of the graph (doubts.h).
Strength strength_of(const Graph& graph, const Samples& samples,
                     const std::vector<NodeIndex>& threads);

}  // namespace stucktrace::diagnose
