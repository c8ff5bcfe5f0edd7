#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tracer/base/result.h"
#include "tracer/compare/normalise.h"
#include "tracer/compare/roles.h"
#include "tracer/compare/things.h"
#include "tracer/model/event_source.h"

namespace stucktrace::compare {

// What a process did over its whole life, in no order: what two runs of the same program agree on
// whatever the scheduler did. Processes are meant by their task's index (Roles), things by theirs.
struct ProcessDeeds {
  std::size_t maker = Roles::kNone;   // the process that made it
  std::vector<std::string> programs;  // executed, in order
  std::string inherited;              // the program it was made with
  bool has_end = false;
  bool signaled = false;
  int code = 0;

  std::set<std::size_t> waits_for;  // children
  std::set<std::pair<std::string, std::size_t>> signals;
  std::set<std::size_t> reads;  // channels
  std::set<std::size_t> writes;
  // What it keeps of channels: at its last exec, or at its end if it never executed anything.
  std::set<std::pair<std::size_t, bool>> holds;  // thing, for writing
  std::set<std::string> files;                   // "keeps" of a file: its path

  // Its standard descriptors at its last exec: of 0, 1 and 2; nullopt unknown.
  std::array<std::optional<std::size_t>, 3> standard{};
  std::set<int> closed;  // of them

  std::set<std::string> effects;  // lines: files, connections, listening
  std::set<std::string> locks;    // names of files
};

// A pipe, or both ends of a pair of sockets.
struct ChannelDeeds {
  std::uint64_t bytes = 0;  // written
  bool cut = false;         // a writer was told that nobody reads any more
};

struct Deeds {
  std::map<std::size_t, ProcessDeeds> processes;
  std::map<std::size_t, ChannelDeeds> channels;
  bool all_seen = false;  // reads, closes or opens for reading were among the calls
};

// Goes through a trace once. `roles`, at its beginning, follow it; `things` are filled.
base::Result<Deeds> collect_deeds(const model::EventSource& events, Roles& roles, Things& things,
                                  const Normaliser& normalise);

// What connects processes and has two ends in the trace.
bool is_channel(const Thing& thing);

}  // namespace stucktrace::compare
