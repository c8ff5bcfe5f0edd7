#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tracer/render/watch_rows.h"
#include "tracer/render/watch_screen.h"

namespace stucktrace::render {

// The table's columns for the rows there are and the room there is.
class WatchColumns {
 public:
  // `tree`: rows carry their branches and a thread's number alone; else "pid/tid".
  WatchColumns(const std::vector<WatchRow>& rows, std::size_t width, bool tree);

  WatchLine heading() const;
  WatchLine line(const WatchRow& row, bool selected) const;

 private:
  std::string id_text(const WatchRow& row) const;
  bool tree_;
  // Columns of text; 0 leaves the column out.
  std::size_t id_ = 0;
  std::size_t role_ = 0;
  std::size_t name_ = 0;
  std::size_t wait_ = 0;
  std::size_t whom_ = 0;
  std::size_t since_ = 0;
};

// "3.6 s", "12 s", "2:05", "1:02:05", "3 d 4 h": at most seven columns in the first ten years.
std::string watch_duration(base::Nanoseconds duration);
Style style_of(WatchMood mood);

}  // namespace stucktrace::render
