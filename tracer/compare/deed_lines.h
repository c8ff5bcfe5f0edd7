#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "tracer/compare/deeds.h"
#include "tracer/compare/level.h"
#include "tracer/compare/naming.h"
#include "tracer/compare/normalise.h"
#include "tracer/compare/relations.h"
#include "tracer/compare/things.h"
#include "tracer/model/verdict.h"

namespace stucktrace::compare {

// Everything the lines are made from; all of it must outlive this.
struct DeedSources {
  const Deeds& deeds;
  const std::map<std::size_t, Channel>& channels;
  const Users& users;
  const Naming& naming;
  const Roles& roles;
  const Things& things;
  const Normaliser& normalise;
  Level level;
  Seen seen;
};

// What a process did, a line each, in an order of their kinds.
std::vector<std::string> process_lines(const DeedSources& from, std::size_t process);
// Who is at the ends of a channel and how much went through.
std::vector<std::string> channel_lines(const DeedSources& from, std::size_t channel);
// Findings, sorted.
std::vector<std::string> finding_lines(const DeedSources& from,
                                       const std::vector<model::FindingRecord>& findings);
// A cycle has no first thread: in the line of a finding the smallest name stands first.
std::string rotated_cycle(std::string_view line);

// "carries ~9000 bytes": two amounts of one order of magnitude are the same.
inline constexpr std::string_view kCarries = "carries ~";
bool same_amount(std::string_view line, std::string_view other);

}  // namespace stucktrace::compare
