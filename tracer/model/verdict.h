#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/model/comparison.h"
#include "tracer/model/resource.h"
#include "tracer/model/snapshot.h"

namespace stucktrace::model {

enum class Certainty : std::uint8_t {
  kProven,  // closed set, two samples, no timer, nothing outside, nothing unknown
  kUntil,   // the same but for timers: breaks by itself
  kLikely,  // stands on a named inference
};
std::string_view to_string(Certainty certainty);

// An edge of the wait-for graph: `from` can be released by any one of these.
struct Edge {
  base::Tid from;
  std::vector<base::Tid> to;               // sorted
  std::optional<base::Nanoseconds> timer;  // a deadline releases it too
  bool outside = false;                    // something we cannot see may
  std::optional<ResourceId> resource;
  std::string why;  // "holds the read end (fd 3)"
};

struct Announcement {
  std::string text;  // the line, raw bytes
  int fd = -1;       // -1 where it was the exit phase
  std::optional<base::Instant> at;
  std::string evidence;  // "written to stdout", "tail of /tmp/log", "frame _exit_function"
};

// One line of the story: a thread, what it does, on what.
struct ChainLink {
  base::Pid pid;
  base::Tid tid;
  std::string who;                         // "S python3 (pid 4711), thread 4712 QueueFeederThread"
  std::string what;                        // "is blocked in write() of 134 473 more bytes"
  std::string on;                          // "pipe:25725 (65 536 of 65 536 bytes unread)"; "" none
  std::optional<base::Nanoseconds> since;  // how long already
  std::vector<std::string> frames;         // the two or three that matter
};

struct Finding {
  std::string rule;  // DESIGN section 4 name
  Certainty certainty = Certainty::kLikely;
  base::Pid pid;  // the process that is stuck
  base::Tid tid;  // the thread to start reading at
  std::optional<ResourceId> resource;
  std::string headline;          // the verdict in one sentence
  std::vector<ChainLink> chain;  // in waiting order; the last waits for the first in a cycle
  std::vector<base::Tid> cycle;  // tids of the cycle in order, empty if the shape is no cycle
  std::optional<base::Nanoseconds> resolves_in;  // upper bound, certainty kUntil
  std::optional<Announcement> announced;
  std::vector<std::string> explanation;  // sentences: why
  std::vector<std::string> evidence;     // facts with their source
  std::string remedy;
  std::vector<base::Tid> also_blocked;  // wait behind this, not part of the cause
  // About what a process keeps, whatever its threads do meanwhile: nobody of them is stuck by it.
  bool lasting = false;
};

// What each thread is, whether or not it is in a finding.
enum class ThreadVerdict : std::uint8_t { kRunning, kWaiting, kSlow, kStopped, kStuck };
std::string_view to_string(ThreadVerdict verdict);

struct ThreadAssessment {
  base::Tid tid;
  ThreadVerdict verdict = ThreadVerdict::kWaiting;
};

// The whole answer of one diagnosis; a pure function of its inputs.
struct Diagnosis {
  std::vector<Edge> edges;                // by from
  std::vector<ThreadAssessment> threads;  // by tid
  std::vector<Finding> findings;          // worst first
};

// A finding over the life of a trace: it came, it may have gone.
struct FindingRecord {
  Finding finding;              // the latest, most certain form
  base::Instant stalled_since;  // start of the wait at its heart
  base::Instant first_reported;
  base::Instant last_seen;                   // by a sample, or by the event that ended it
  std::optional<base::Instant> resolved_at;  // the stuck thread moved on
  std::string resolved_by;                   // "P1 read the pipe (fd 3)", "" unknown
};

// What `explain` was asked, and what it took: for the end of its report.
struct Look {
  bool whole_machine = false;  // --all
  std::size_t processes = 0;   // looked at, of the trees asked for
  std::size_t threads = 0;
  base::Nanoseconds settle{};  // between the two looks
  base::Nanoseconds took{};    // both looks and the diagnosis
};

// Of those that lived when it was decided to end the tree.
struct EndedProcess {
  // How the process is known to be of the tree.
  enum class Known : std::uint8_t {
    kTraced,
    kBelow,  // not traced any more; a descendant of the tool
    kGroup,  // not traced, taken in by somebody else: by its control group alone
  };
  base::Pid pid;
  std::string name;  // the kernel's, raw bytes; "" it ended meanwhile
  Known known = Known::kTraced;
};
std::string_view to_string(EndedProcess::Known known);

// Why `run` ended the tree, and whom it took to be of it.
struct Ended {
  // "deadline", "idle", "fail-on", "cancelled", "orphans".
  std::string because;
  std::string words;                       // the same as a sentence
  std::optional<base::Nanoseconds> limit;  // the time that was allowed
  std::vector<EndedProcess> processes{};   // by pid
};

// What explain, attach, run and replay hand to the renderers.
struct Report {
  std::string tool_version;
  std::string host;  // uname -srm
  base::Instant taken_at;
  base::Nanoseconds taken_wall{};
  std::shared_ptr<const Snapshot> snapshot;  // may be null (run without any stall)
  Diagnosis diagnosis;
  std::vector<FindingRecord> history;  // run/attach/replay: all findings of the trace
  std::vector<std::string> could_not_see;
  std::optional<Look> look;              // explain only
  std::optional<Ended> ended;            // run with a limit, when it was reached
  std::optional<Comparison> comparison;  // run that is judged by a baseline or assertions
  std::vector<std::string> ways_in;      // how to get at what could not be seen, a sentence each
};

}  // namespace stucktrace::model
