#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/base/ids.h"

namespace stucktrace::render {

// Cuts what processes write into lines, and thins out a flood: of each process the first lines of
// a second are told, then how many more there were and the last of them. Bounded memory.
class Speech {
 public:
  static constexpr std::uint64_t kLinesPerWindow = 10;
  static constexpr std::uint64_t kAsideLinesPerWindow = 2;
  static constexpr base::Nanoseconds kWindow = std::chrono::seconds{1};

  struct Line {
    base::Instant at;
    base::Pid pid;
    base::Tid tid;
    int fd = -1;
    std::string text;           // raw bytes, the begin of the line
    std::uint64_t size = 0;     // of the whole line
    std::uint64_t before = 0;   // lines left out before this one
    std::string verb = "says";  // "says to P2", as it was when the line was written
    bool aside = false;         // to another process, not to a person: told more briefly
  };

  // Lines to tell now, after a write of `size` bytes that begin with `bytes`. `line` says who, when
  // and where; its text and size are filled in here.
  std::vector<Line> write(const Line& line, std::string_view bytes, std::uint64_t size);
  // The process is gone: what it said without a newline, and what was held back.
  std::vector<Line> end(base::Pid pid);
  // When something held back is due, a line without its newline (a prompt) among it; nullopt if
  // nothing is.
  std::optional<base::Instant> due() const;
  std::vector<Line> take_due(base::Instant now);
  // Everything, by process.
  std::vector<Line> flush();

 private:
  struct Window {
    base::Instant start;
    std::uint64_t told = 0;
    std::uint64_t left_out = 0;
    std::optional<Line> last;
  };
  void tell(Line line, std::vector<Line>& out);
  void close_window(Window& window, std::vector<Line>& out);

  std::map<std::pair<base::Pid, int>, Line> partial_;
  std::map<base::Pid, Window> windows_;
  std::size_t held_ = 0;  // windows with a `last`
};

}  // namespace stucktrace::render
