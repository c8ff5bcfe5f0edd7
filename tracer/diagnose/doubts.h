#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tracer/diagnose/graph.h"

namespace stucktrace::diagnose {

// Ways out of a closed set that are no edge of the graph, because whoever takes one of them is no
// releaser by the rules of what is waited for: a signal handler, a thread that opens a lock another
// one took. Each is a sentence; one of them and the set is not proven to be stuck for good.
std::vector<std::string> ways_out(const Graph& graph, const std::vector<NodeIndex>& threads);

// Whether SIGINT counts where handlers are looked for: an interpreter always has one, by which a
// person ends the program.
enum class Interrupt : std::uint8_t { kCounts, kDoesNot };
// Not where the process is seen to be an interpreter.
Interrupt interrupt_of(const model::Process& process);
// A handler that the program installed for something to be told: it could wake a thread or write to
// a pipe. Those for faults and for the runtime's own use do not count, nor SIGCHLD's while no child
// is left.
bool may_be_told(const model::Snapshot& now, const model::Process& process, Interrupt interrupt);

}  // namespace stucktrace::diagnose
