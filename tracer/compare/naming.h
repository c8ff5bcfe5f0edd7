#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "tracer/compare/deeds.h"
#include "tracer/compare/level.h"
#include "tracer/compare/relations.h"
#include "tracer/compare/roles.h"
#include "tracer/compare/things.h"

namespace stucktrace::compare {

// Names that two runs of one program agree on. Processes are numbered from the root down, children
// of one process by what they are: program, then what they did and with whom; never by which of
// them started first, unless nothing else tells them apart (then it does not matter).
struct Naming {
  std::vector<std::string> tasks;              // by Roles' index: "P2", "P2.T1"
  std::map<std::size_t, std::string> things;   // by Things' index: "pipe#1"
  std::vector<std::size_t> processes;          // by number
  std::map<std::size_t, std::size_t> numbers;  // of processes, from 0
  std::vector<std::size_t> channels;           // shared ones, by number
};

Naming canonical_names(const Deeds& deeds, const std::map<std::size_t, Channel>& channels,
                       const Roles& roles, const Things& things, Level level);

// "env > python3"; "sh (forked)" of one that executed nothing.
std::string title_of(const ProcessDeeds& deeds);
// "exits 0", "killed by SIGTERM"; "does not end".
std::string end_of(const ProcessDeeds& deeds);

}  // namespace stucktrace::compare
