#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tracer/base/result.h"
#include "tracer/compare/normalise.h"
#include "tracer/model/event.h"
#include "tracer/model/verdict.h"

namespace stucktrace::compare {

struct Options {
  // In addition to the built-in rules, before them.
  std::vector<Substitution> normalise;
};

// What a run did and waited for, without what differs between two runs of the same program: pids,
// addresses, clocks, the order between threads, sizes of partial reads and writes, turns of polling
// loops, signals of children, names of temporary files.
struct CanonicalTrace {
  struct Section {
    std::string role;  // "P1/T2", "P1 (process)", "findings"
    std::vector<std::string> lines;
    bool operator==(const Section&) const = default;
  };
  // Threads by tree position, each process after its threads, findings last; none is empty.
  std::vector<Section> sections;
  bool operator==(const CanonicalTrace&) const = default;
};

CanonicalTrace canonicalise(const std::vector<model::Event>& events,
                            const std::vector<model::FindingRecord>& findings,
                            const Options& options);

// The trace as a text file that people review and keep under version control.
std::string to_text(const CanonicalTrace& trace);
// Reads it back. Malformed text is an error that names the line.
base::Result<CanonicalTrace> parse(std::string_view text);
// The text starts as to_text()'s do: a baseline kept as text, not a recording.
bool is_canonical_text(std::string_view start);

}  // namespace stucktrace::compare
