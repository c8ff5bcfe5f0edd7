#pragma once

#include <functional>

#include "tracer/diagnose/graph.h"

namespace stucktrace::diagnose {

// What the derivation of releasers needs to know about everybody.
struct GraphView {
  const model::Snapshot& now;
  const model::Snapshot* before;  // null: there was no look before
  std::function<std::optional<GroupIndex>(base::Pid)> group_of;
  std::function<std::optional<NodeIndex>(base::Tid)> find;
  // Processes by address space, where it is known.
  std::unordered_map<std::uint64_t, std::vector<base::Pid>> sharing;
};

// Fills releases, timer, outside, opaque, unknown, ready of one node from its wait and the
// resources. Holders of the other end, not relatives.
void derive_releasers(const GraphView& view, Node& node);

// The time-out of a wait that is left: exact where the kernel or the runtime tells, else what the
// call was given minus what it has waited.
std::optional<base::Nanoseconds> time_left(const Node& node,
                                           std::optional<base::Instant> waiting_since,
                                           base::Instant now);

}  // namespace stucktrace::diagnose
