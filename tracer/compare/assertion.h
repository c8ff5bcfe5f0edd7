#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "syscalls/trace_set.h"
#include "tracer/base/clock.h"
#include "tracer/base/result.h"
#include "tracer/compare/canonical.h"
#include "tracer/compare/scanner.h"
#include "tracer/model/comparison.h"
#include "tracer/model/event_source.h"
#include "tracer/model/verdict.h"

namespace stucktrace::compare {

// What has to hold for a run:
//
//     [P2] never CALLS          no such call, whether or not it succeeded
//     [P2] CALLS <= 200         so many; also < >= > == !=
//     [P2] max blocked 2s       no thread waits longer in one call that returned, was cut off by
//                               its end or is open at the last; but for children and the clock
//     no finding [RULE]
//     [P2] exits 0              P1 where no role is named
//     [P2] killed by SIGTERM
//
// CALLS: opens, reads, writes, connects, listens, accepts, binds, pipes, removes, renames, kills,
// execs, forks, threads, or a set as -e trace= takes it: a name, %class, /regex/.
struct Assertion {
  enum class Kind : std::uint8_t { kCount, kMaxBlocked, kNoFinding, kExits, kKilled };
  enum class Subject : std::uint8_t { kCalls, kExecs, kForks, kThreads };
  enum class Compare : std::uint8_t { kLess, kAtMost, kEqual, kNot, kAtLeast, kMore };

  std::string text;
  std::optional<std::uint64_t> process;  // 2 of P2
  Kind kind = Kind::kCount;
  Subject subject = Subject::kCalls;
  syscalls::TraceSet calls = syscalls::TraceSet::none();  // kCalls
  std::string set;                                        // as -e trace= takes it
  Compare compare = Compare::kEqual;
  std::uint64_t number = 0;  // a count, an exit status, a signal
  base::Nanoseconds limit{};
  std::string rule;  // "" any
};

Parsed<Assertion> parse_assertion(std::string_view text);

using Place = model::TimelinePlace;
struct AssertionFailure {
  Assertion assertion;
  std::string seen;
  std::optional<Place> place;
  std::string show;  // what to show of a replay, as -e trace= takes it; "" everything
};

// Goes through the events once; `roles` are those of their tasks. An error if they cannot be had.
base::Result<std::vector<AssertionFailure>> check_assertions(
    const std::vector<Assertion>& assertions, const model::EventSource& events,
    const std::vector<model::FindingRecord>& findings, const RoleTable& roles, base::Instant start);

}  // namespace stucktrace::compare
