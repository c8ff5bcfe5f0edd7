#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "tracer/diagnose/announce.h"
#include "tracer/diagnose/cases.h"
#include "tracer/model/verdict.h"

namespace stucktrace::diagnose {

// What a rule looks at. Everything outlives the call.
struct RuleContext {
  const Graph& graph;
  const Samples& samples;
  const Cases& cases;
  const AnnouncePhrases& phrases;
  base::Nanoseconds stuck_after;
};

// A finding and the threads it explains, so that one root cause gives one finding.
struct Draft {
  model::Finding finding;
  std::vector<NodeIndex> core;  // sorted
};

// One rule: pure, looks at the context, returns what it recognises, in order of its lead thread.
// To add one: a file under rules/ named after it, its declaration and row in rules.h, its tests.
struct Rule {
  std::string_view name;  // as reports show it: "pipe-full"
  std::vector<Draft> (*find)(const RuleContext&);
};

// Every rule, most specific first: of two findings about the same threads the earlier rule's stays.
std::span<const Rule> all_rules();

}  // namespace stucktrace::diagnose
