#include <fmt/format.h>

#include <algorithm>

#include "tracer/diagnose/phases.h"
#include "tracer/diagnose/rules/rules.h"
#include "tracer/diagnose/story.h"

namespace stucktrace::diagnose::rules {

namespace {

// It waits for an answer to its own request: who would accept it is the waiting process itself.
bool asks_itself(const RuleContext& context, const Case& found) {
  const Node& node = context.graph[found.lead];
  return demand_of(context.graph, found.lead) == Demand::kRequest && !node.releases.empty() &&
         std::ranges::all_of(node.releases, [&](const Release& release) {
           return release.group == context.graph.group_of(node.pid());
         });
}

void tell_request(const RuleContext& context, const Case& found, model::Finding& finding) {
  const Node& node = context.graph[found.lead];
  finding.headline = fmt::format(
      "{} waits{} for an answer from itself: its connection lies unaccepted in the backlog of its "
      "own listening socket",
      who(node), for_how_long(context, found.lead));
  finding.explanation = {
      fmt::format("{} {}.", who(node), what(context, found.lead)),
      fmt::format("Only {} holds the listening socket, and none of its threads can go on to accept "
                  "the connection.",
                  process_short(*node.process))};
  if (const model::OnFd* fd = first_fd(node)) {
    finding.evidence.push_back(
        fmt::format("the other end of {} is no process's descriptor: nobody has accepted it "
                    "(sock_diag)",
                    model::to_string(fd->resource)));
  }
  finding.remedy =
      "Do not send a request to the own server from the thread that serves it: call the code "
      "directly, or serve requests in another thread.";
}

void tell_lock(const RuleContext& context, const Case& found, model::Finding& finding) {
  const Node& node = context.graph[found.lead];
  const model::OnFutex* futex = futex_of(node);
  const bool join = futex != nullptr && futex->role == model::OnFutex::Role::kJoin;
  finding.headline = fmt::format(
      "{} waits{} for {}", who(node), for_how_long(context, found.lead),
      join               ? "its own end"
      : futex == nullptr ? "a file lock that it holds itself, through another descriptor"
                         : "a lock that it owns itself");
  finding.explanation = explain_cycle(context, found);
  if (futex != nullptr && !join) finding.evidence.push_back(owner_evidence(*futex) + " itself");
  if (const auto* lock = std::get_if<model::OnLock>(&node.wait.on.front())) {
    finding.resource = lock->file;
    finding.evidence.push_back(fmt::format("lock on {}: {} (/proc/locks)",
                                           model::to_string(lock->file), lock->description));
  }
  finding.remedy = join ? "Do not join a thread from within itself."
                   : futex == nullptr
                       ? "Lock a file through one descriptor only (flock() and OFD locks belong to "
                         "the open file, not to the process), or release the first lock before."
                       : "Do not take the lock again while holding it (look at signal handlers and "
                         "callbacks), or make it recursive.";
}

}  // namespace

// A thread that waits for a lock it owns, for its own end, or for an answer from itself.
std::vector<Draft> self_deadlock(const RuleContext& context) {
  std::vector<Draft> drafts;
  for (const Case& found : context.cases.cases) {
    const bool request = asks_itself(context, found);
    if (!request && !context.graph[found.lead].waits_for_itself) continue;
    Draft draft{start_finding(context, "self-deadlock", found), found.core};
    if (request) {
      tell_request(context, found, draft.finding);
    } else {
      tell_lock(context, found, draft.finding);
    }
    drafts.push_back(std::move(draft));
  }
  return drafts;
}

}  // namespace stucktrace::diagnose::rules
