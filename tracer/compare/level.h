#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace stucktrace::compare {

// How much of a run is compared; each level has all of the one before.
enum class Level : std::uint8_t {
  kStructure,  // processes, programs, who waits for whom, exit statuses, findings
  kEffects,    // descriptor plumbing, changed files, bytes through pipes, connections
  kCalls,      // the order of calls of each thread
};
std::string_view to_string(Level level);
std::optional<Level> level_of(std::string_view word);

// Which calls a trace has.
enum class Seen : std::uint8_t {
  kFiltered,  // those a diagnosis needs: no reads, no closes, no opens for reading
  kAll,       // all that a comparison looks at
};
std::string_view to_string(Seen seen);
std::optional<Seen> seen_of(std::string_view word);

}  // namespace stucktrace::compare
