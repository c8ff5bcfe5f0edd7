#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
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
  std::size_t maker = 0;  // process
  std::size_t order = 0;  // among the channels that the same thread made
  bool shared = false;    // somebody else than its maker has to do with it
  std::vector<Direction> directions;
};

// "pipe", "fifo", "socketpair".
std::string_view channel_word(const Thing& thing);
// The first end's index stands for both.
std::size_t channel_of(const Thing& thing);

// By their first end. Reads and writes by processes of one kind (forks of one process that executed
// nothing) are taken together: which of them gets to serve is timing.
std::map<std::size_t, Channel> channels_of(const Deeds& deeds, const Roles& roles,
                                           const Things& things);

}  // namespace stucktrace::compare
