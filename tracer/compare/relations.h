#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tracer/compare/deeds.h"
#include "tracer/compare/roles.h"
#include "tracer/compare/things.h"

namespace stucktrace::compare {

// One way through a channel.
struct Direction {
  std::size_t from = 0;  // thing written to
  std::size_t to = 0;    // thing read from; the same for pipes
  std::set<std::size_t> writers;
  std::set<std::size_t> readers;
  std::uint64_t bytes = 0;
  bool cut = false;     // how much went through depends on when the reader left
  bool tokens = false;  // somebody puts back what he took: how often is timing
};

// A pipe, a named pipe or a pair of sockets, and the processes at its ends.
struct Channel {
  std::size_t thing = 0;  // the first end
  std::size_t maker = 0;  // process; Roles::kNone if a named pipe was there or nobody knows
  std::size_t order = 0;  // among the channels that the same thread made
  bool shared = false;    // somebody else than its maker has to do with it
  std::vector<Direction> directions;
};

// "pipe", "fifo", "socketpair".
std::string_view channel_word(const Thing& thing);
// The first end's index stands for both.
std::size_t channel_of(const Thing& thing);

// Of one maker: in the order of their making; of nobody: by name.
bool made_before(const Thing& a, const Thing& b);

// Who has to do with what, the other way round.
struct Users {
  std::map<std::size_t, std::vector<std::size_t>> channels;         // process -> shared channels
  std::map<std::string, std::set<std::size_t>, std::less<>> locks;  // file -> processes
};
Users users_of(const Deeds& deeds, const std::map<std::size_t, Channel>& channels);

// By their first end. Reads and writes by processes of one kind (forks of one process that executed
// nothing) are taken together: which of them gets to serve is timing.
std::map<std::size_t, Channel> channels_of(const Deeds& deeds, const Roles& roles,
                                           const Things& things);

}  // namespace stucktrace::compare
