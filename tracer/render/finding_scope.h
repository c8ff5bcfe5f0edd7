#pragma once

#include <string>
#include <vector>

#include "tracer/model/verdict.h"
#include "tracer/render/thread_groups.h"

namespace stucktrace::render {

// What a finding takes in beyond its chain, read off the diagnosis: text and JSON tell the same.

// One finding as the report tells it: what is now, or what was.
struct Told {
  const model::Finding* finding = nullptr;
  const model::FindingRecord* record = nullptr;  // where the trace knows its life
  bool resolved() const { return record != nullptr && record->resolved_at.has_value(); }
};

// Threads that are stuck because of it and not in its chain: in the same closed set, or behind it.
std::vector<Member> behind(const model::Report& report, const model::Finding& finding);

// The present ones, the worst first: by certainty, then threads behind it, then how long.
std::vector<const model::Finding*> findings_by_weight(const model::Report& report);

// The present ones likewise, then those the trace saw and the last sample does not, the unresolved
// first.
std::vector<Told> told_findings(const model::Report& report);

// The same, those of one stuck tree together: findings whose processes are the same, or parent and
// child. The trees are in the order of their worst finding.
std::vector<std::vector<Told>> told_trees(const model::Report& report);

// How long the wait at the heart of the finding had lasted when it was looked at, which is what
// the times in its chain tell; nullopt where that is not known.
std::optional<base::Nanoseconds> age_when_seen(const Told& told);

// Why it is not proven (raw sentences), and what would make it certain, for people; "" if nothing
// would, or if it is certain.
std::vector<std::string> doubts_of(const model::Finding& finding);
std::string certain_by(const model::Report& report, const model::Finding& finding);

// The command that looks at the same trees for longer; "" where it was a long look already, or
// there was none.
std::string longer_look(const model::Report& report);

}  // namespace stucktrace::render
