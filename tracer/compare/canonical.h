#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tracer/base/result.h"
#include "tracer/compare/level.h"
#include "tracer/compare/normalise.h"
#include "tracer/compare/survey.h"
#include "tracer/model/event_source.h"
#include "tracer/model/verdict.h"

namespace stucktrace::compare {

struct Options {
  // In addition to the built-in rules, before them.
  std::vector<Substitution> normalise;
  Level level = Level::kEffects;
  std::optional<Seen> seen;  // nullopt: as the events look
};

// What a run did and waited for, without what differs between two runs of the same program: pids,
// addresses, clocks, the order between threads and of children, sizes of partial reads and writes,
// turns of polling loops, signals of children, names of temporary files.
struct CanonicalTrace {
  struct Section {
    std::string role;    // "P2", "P2.T1 calls", "pipe#1", "findings"
    std::string title;   // processes: "env > python3"
    std::string parent;  // processes but roots: "P1"
    std::vector<std::string> lines;
    std::size_t at = 0;  // line of its file; 0 none
    bool is_process() const { return !title.empty(); }
    // The order of its lines counts.
    bool is_ordered() const { return role.ends_with(" calls"); }
    // As it stands in a file.
    std::string heading() const;
    bool operator==(const Section& other) const {
      return role == other.role && title == other.title && parent == other.parent &&
             lines == other.lines;
    }
  };
  // In headings.
  static constexpr std::string_view kChild = ", child of ";
  static constexpr std::string_view kNobody = "nobody";

  Level level = Level::kEffects;
  Seen seen = Seen::kAll;
  // Processes by number, the calls of each after it, then channels, findings last.
  std::vector<Section> sections;
  bool operator==(const CanonicalTrace&) const = default;
};

// What the tasks of a run are called.
struct RoleTable {
  std::vector<std::string> names;  // "P2.T1"; by TaskFollower's index
  // Null for nobody.
  const std::string* role(std::size_t task) const {
    return task < names.size() ? &names[task] : nullptr;
  }
};

struct CanonicalRun {
  CanonicalTrace trace;
  RoleTable roles;
};

// `survey` has seen the same events. Goes through them once for each of what was done and, if that
// is asked for, in which order; takes memory for what the trace then holds, for tasks and what they
// opened, not for events. Fails only if the events cannot be had.
base::Result<CanonicalRun> canonicalise(const Survey& survey, const model::EventSource& events,
                                        const std::vector<model::FindingRecord>& findings,
                                        const Options& options);

}  // namespace stucktrace::compare
