#include "tracer/render/finding_scope.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace stucktrace::render {
namespace {

using model::Finding;
using model::FindingRecord;
using model::Report;

bool same(const Finding& a, const Finding& b) {
  return a.rule == b.rule && a.tid == b.tid && a.resource == b.resource;
}

std::unordered_set<base::Tid> stuck_threads(const Report& report) {
  std::unordered_set<base::Tid> stuck;
  for (const model::ThreadAssessment& each : report.diagnosis.threads) {
    if (each.verdict == model::ThreadVerdict::kStuck) stuck.insert(each.tid);
  }
  return stuck;
}

std::unordered_set<base::Tid> told_in_chain(const Finding& finding) {
  std::unordered_set<base::Tid> told{finding.tid};
  told.insert(finding.cycle.begin(), finding.cycle.end());
  for (const model::ChainLink& link : finding.chain) told.insert(link.tid);
  return told;
}

// Who waits for whom in `stuck`, read backwards from `seeds`.
std::unordered_set<base::Tid> waiting_for(const Report& report,
                                          const std::unordered_set<base::Tid>& stuck,
                                          const std::unordered_set<base::Tid>& seeds) {
  std::unordered_map<base::Tid, std::vector<base::Tid>> waiters;
  for (const model::Edge& edge : report.diagnosis.edges) {
    if (!stuck.contains(edge.from)) continue;
    for (const base::Tid to : edge.to) waiters[to].push_back(edge.from);
  }
  std::unordered_set<base::Tid> reached = seeds;
  std::vector<base::Tid> queue(seeds.begin(), seeds.end());
  while (!queue.empty()) {
    const base::Tid tid = queue.back();
    queue.pop_back();
    for (const base::Tid waiter : waiters[tid]) {
      if (reached.insert(waiter).second) queue.push_back(waiter);
    }
  }
  return reached;
}

std::optional<base::Nanoseconds> since(const Finding& finding) {
  const auto link = std::ranges::find(finding.chain, finding.tid, &model::ChainLink::tid);
  return link == finding.chain.end() ? std::nullopt : link->since;
}

std::set<base::Pid> processes_of(const Report& report, const Finding& finding) {
  std::set<base::Pid> pids{finding.pid};
  for (const model::ChainLink& link : finding.chain) pids.insert(link.pid);
  for (const Member& member : behind(report, finding)) pids.insert(member.process->pid);
  return pids;
}

bool related(const model::Snapshot& snapshot, const std::set<base::Pid>& some,
             const std::set<base::Pid>& others) {
  return std::ranges::any_of(some, [&](base::Pid pid) {
    if (others.contains(pid)) return true;
    const model::Process* process = snapshot.find(pid);
    if (process != nullptr && others.contains(process->parent)) return true;
    return std::ranges::any_of(others, [&](base::Pid other) {
      const model::Process* child = snapshot.find(other);
      return child != nullptr && child->parent == pid;
    });
  });
}

// Nothing about the finding was refused: whoever is in it, and who holds what it waits on.
bool sees_all(const Report& report, const Finding& finding) {
  const model::Snapshot& snapshot = *report.snapshot;
  if (finding.resource) {
    const auto found = snapshot.resources.find(*finding.resource);
    if (found != snapshot.resources.end() && !found->second.incomplete_because.empty())
      return false;
  }
  return std::ranges::all_of(finding.chain, [&](const model::ChainLink& link) {
    const model::Process* process = snapshot.find(link.pid);
    return process == nullptr || process->fds.has_value();
  });
}

// A timer, a nap or an asking loop in it: what such a thread does shows in a longer look.
bool wakes_by_itself(const Report& report, const Finding& finding) {
  auto told = told_in_chain(finding);
  for (const Member& member : behind(report, finding)) told.insert(member.thread->tid);
  for (const Member& member : members_of(*report.snapshot, false)) {
    if (!told.contains(member.thread->tid)) continue;
    const model::Wait& wait = member.thread->wait;
    if (wait.polling || wait.inferred || wait.kind == model::WaitKind::kSleep) return true;
  }
  return false;
}

}  // namespace

std::vector<Member> behind(const Report& report, const Finding& finding) {
  if (!report.snapshot) return {};
  const auto told = told_in_chain(finding);
  auto stuck = stuck_threads(report);
  // The only finding is why everything that is stuck is stuck.
  const bool only = report.diagnosis.findings.size() == 1;
  auto reached = only ? stuck : waiting_for(report, stuck, told);
  reached.insert(finding.also_blocked.begin(), finding.also_blocked.end());
  std::vector<Member> members;
  for (const Member& member : members_of(*report.snapshot, false)) {
    const base::Tid tid = member.thread->tid;
    if (reached.contains(tid) && !told.contains(tid)) members.push_back(member);
  }
  return members;
}

std::vector<const Finding*> findings_by_weight(const Report& report) {
  std::vector<std::pair<const Finding*, std::int64_t>> weighed;
  for (const Finding& finding : report.diagnosis.findings) {
    weighed.emplace_back(&finding, static_cast<std::int64_t>(behind(report, finding).size()));
  }
  // Stable: what is equal stays in the order of the diagnosis.
  std::ranges::stable_sort(weighed, {}, [](const auto& each) {
    return std::tuple{each.first->certainty, -each.second,
                      -since(*each.first).value_or(base::Nanoseconds{0})};
  });
  std::vector<const Finding*> findings;
  for (const auto& [finding, count] : weighed) findings.push_back(finding);
  return findings;
}

std::vector<Told> told_findings(const Report& report) {
  std::vector<Told> told;
  std::set<const FindingRecord*> used;
  for (const Finding* finding : findings_by_weight(report)) {
    const auto record = std::ranges::find_if(report.history, [&](const FindingRecord& each) {
      return !used.contains(&each) && same(each.finding, *finding);
    });
    const bool known = record != report.history.end();
    // The last sample is older than the end of the stall: its record tells the whole story.
    if (known && record->resolved_at) continue;
    told.push_back({finding, known ? &*record : nullptr});
    if (known) used.insert(&*record);
  }
  for (const bool resolved : {false, true}) {
    for (const FindingRecord& record : report.history) {
      if (used.contains(&record) || record.resolved_at.has_value() != resolved) continue;
      told.push_back({&record.finding, &record});
    }
  }
  return told;
}

std::vector<std::vector<Told>> told_trees(const Report& report) {
  struct Tree {
    std::vector<Told> told;
    std::set<base::Pid> pids;
  };
  std::vector<Tree> trees;
  for (const Told& each : told_findings(report)) {
    Tree joined{{}, processes_of(report, *each.finding)};
    const auto belongs = [&](const Tree& tree) {
      return report.snapshot && related(*report.snapshot, tree.pids, joined.pids);
    };
    const auto first = std::ranges::find_if(trees, belongs);
    if (first == trees.end()) {
      joined.told.push_back(each);
      trees.push_back(std::move(joined));
      continue;
    }
    first->told.push_back(each);
    first->pids.insert(joined.pids.begin(), joined.pids.end());
    // It may be the link between trees that were apart.
    for (auto other = std::next(first); other != trees.end();) {
      if (!belongs(*other)) {
        ++other;
        continue;
      }
      first->told.insert(first->told.end(), other->told.begin(), other->told.end());
      first->pids.insert(other->pids.begin(), other->pids.end());
      other = trees.erase(other);
    }
  }
  std::vector<std::vector<Told>> told;
  for (Tree& tree : trees) told.push_back(std::move(tree.told));
  return told;
}

std::optional<base::Nanoseconds> age_when_seen(const Told& told) {
  if (const auto age = since(*told.finding)) return age;
  if (told.record == nullptr) return std::nullopt;
  return told.record->first_reported - told.record->stalled_since;
}

std::vector<std::string> doubts_of(const Finding& finding) {
  constexpr std::string_view kMark = "not proven: ";  // how the diagnosis begins a doubt
  std::vector<std::string> doubts;
  for (const std::string& fact : finding.evidence) {
    if (fact.starts_with(kMark)) doubts.push_back(fact.substr(kMark.size()));
  }
  return doubts;
}

std::string certain_by(const Report& report, const Finding& finding) {
  if (finding.certainty != model::Certainty::kLikely || !report.snapshot) return {};
  if (!report.ways_in.empty() && !sees_all(report, finding)) return report.ways_in.front();
  const std::string command = longer_look(report);
  if (!command.empty() && wakes_by_itself(report, finding)) return "by a longer look: " + command;
  return {};
}

std::string longer_look(const Report& report) {
  constexpr base::Nanoseconds kLong = std::chrono::seconds{2};
  if (!report.look || !report.snapshot || report.look->settle >= kLong) return {};
  if (report.look->whole_machine) return "stucktrace explain --settle 2s --all";
  std::string command = "stucktrace explain --settle 2s";
  for (const base::Pid pid : report.snapshot->roots) command += fmt::format(" {}", pid);
  return command;
}

}  // namespace stucktrace::render
