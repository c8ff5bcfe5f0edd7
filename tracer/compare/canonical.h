#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tracer/compare/level.h"
#include "tracer/compare/normalise.h"
#include "tracer/model/event.h"
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

// Whose event each one is.
struct RoleTable {
  std::vector<std::string> names;     // "P2.T1"
  std::vector<std::size_t> of_event;  // index into names; beyond its end for events of nobody
  const std::string* role(std::size_t event) const {
    return of_event[event] < names.size() ? &names[of_event[event]] : nullptr;
  }
};

struct CanonicalRun {
  CanonicalTrace trace;
  RoleTable roles;
};

CanonicalRun canonicalise(const std::vector<model::Event>& events,
                          const std::vector<model::FindingRecord>& findings,
                          const Options& options);

}  // namespace stucktrace::compare
