#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/unwind/symbols.h"

namespace stucktrace::unwind {

// The names of code that a program has made while it runs, from the map that it writes for perf(1):
// /tmp/perf-PID.map, a line "START SIZE NAME" (both hexadecimal) a function. `node
// --perf-basic-prof`, Java with -XX:+DumpPerfMapAtExit or an agent, Python 3.12 with -X perf, ...
class PerfMap {
 public:
  PerfMap() = default;
  // Lines that are none are left out. Where code was made anew at an old address the later line
  // counts.
  explicit PerfMap(std::string text);
  // As the process sees /tmp and its own number. Empty if there is none, if it is not a plain file
  // of the process's user or root's (anybody may write to /tmp), or if it is huge.
  static PerfMap of(base::Pid pid);

  std::optional<Symbol> find(std::uint64_t address) const;
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::uint64_t start = 0;
    std::uint64_t end = 0;
    std::size_t name = 0;  // where it starts in text_
    std::size_t length = 0;
    std::size_t order = 0;
  };
  std::string text_;
  std::vector<Entry> entries_;  // by start; of equal ones the last
};

}  // namespace stucktrace::unwind
