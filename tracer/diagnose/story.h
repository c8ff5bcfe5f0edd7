#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tracer/diagnose/rule.h"

namespace stucktrace::diagnose {

// The words findings are told in. Names, lines and paths go in as raw bytes; renderers escape them.

// "P2 python3 (pid 4712)"; without a role "python3 (pid 4712)".
std::string process_name(const model::Process& process);
// The short form for a second mention: "P2", or "pid 4712".
std::string process_short(const model::Process& process);
// "thread 4713 (QueueFeederThread)"; "main thread" for the main one.
std::string thread_name(const Node& node);
// "P2 python3 (pid 4712), thread 4713 (QueueFeederThread)".
std::string who(const Node& node);
// The name of the system call the thread is in, "" unknown.
std::string call_name(const Node& node);
// Bytes the blocked write was asked to put out; nullopt for calls that do not say.
std::optional<std::uint64_t> asked_to_write(const Node& node);
// "has been blocked for 4.2 s in write() of 200 009 bytes", "waits in wait4() for child 4712".
std::string what(const RuleContext& context, NodeIndex index);
// " for 4.2 s", "" where it is not known.
std::string for_how_long(const RuleContext& context, NodeIndex index);
// "pipe:25725 (56 336 of 65 536 bytes unread, full)".
std::string resource_text(const RuleContext& context, const model::ResourceId& id);
// " (time-out in 800 ms)" where the case resolves by itself, else "".
std::string time_out_text(const Case& found);

// One chain line.
model::ChainLink link(const RuleContext& context, NodeIndex index);
// The lines of a case: its cycle from the thread of the outermost waiting process on, or, without a
// cycle, lead first and then those who could release it (at most a handful).
std::vector<model::ChainLink> chain_of(const RuleContext& context, const Case& found);

// Finding with what every rule says alike: rule, certainty, ids, chain, cycle, resolves_in, the
// evidence of samples, refinements and doubts. Headline, explanation and remedy are the rule's.
model::Finding start_finding(const RuleContext& context, std::string_view rule, const Case& found);

// Facts about the pipe or socket a delivery is stuck in: capacity, unread, asked, with sources.
void add_delivery_evidence(const RuleContext& context, NodeIndex writer, model::Finding& finding);

// Who holds the other end of what `node` waits on, each process once, `node`'s own process apart.
struct OtherEnd {
  std::vector<const model::Process*> processes;  // by pid
  std::optional<int> own_fd;                     // the waiter's own process holds it too
};
OtherEnd other_end(const RuleContext& context, NodeIndex index);
// "P1 python3 (pid 4711)", "P1 ... and P3 ...", "3 processes (pids 1, 2, 3)".
std::string list_processes(const std::vector<const model::Process*>& processes);

// Sentences, one per step of the cycle: why the circle closes.
std::vector<std::string> explain_cycle(const RuleContext& context, const Case& found);

}  // namespace stucktrace::diagnose
