#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tracer/render/watch_book.h"

namespace stucktrace::render {

enum class WatchSort : std::uint8_t { kTree, kStuckFirst, kLongestWait };
// "tree", "stuck first", "longest wait".
std::string_view to_string(WatchSort sort);

struct WatchFolding {
  std::set<base::Pid> processes;  // shown as one row each, with what is below them
  bool equal_waits = false;       // threads of a process that wait alike become one row
};

// A line of the table: a thread, or several.
struct WatchRow {
  const WatchThread* thread = nullptr;  // of several the first
  std::string branch;                   // the lines of the tree before it: "│ └─"
  std::size_t alike = 1;                // threads in this row: they wait alike
  std::string wait;                     // what all of them wait for
  WatchMood mood = WatchMood::kWaiting;
  std::optional<base::Nanoseconds> since;  // the longest
  bool at_least = false;
  bool folded = false;             // a process whose threads and descendants are left out
  std::size_t hidden_threads = 0;  // of a folded one, its own main thread not counted
  std::size_t hidden_processes = 0;
};

// The table's rows; they point into `threads` (sorted as WatchBook gives them).
std::vector<WatchRow> watch_rows(const std::vector<WatchThread>& threads, WatchSort sort,
                                 const WatchFolding& folding);

}  // namespace stucktrace::render
