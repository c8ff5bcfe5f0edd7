#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/base/ids.h"
#include "tracer/model/verdict.h"
#include "tracer/render/style.h"
#include "tracer/render/watch_book.h"
#include "tracer/render/watch_rows.h"

namespace stucktrace::render {

// A picture of the terminal: text at places. Spans of a line are in order and do not overlap, but
// for characters that are wider than one column: a later span has precedence.
struct WatchSpan {
  std::size_t column = 0;
  Style style = Style::kPlain;
  std::string text;  // safe for a terminal
};
struct WatchLine {
  std::vector<WatchSpan> spans;
  bool selected = false;  // shown in reverse, over its whole width
};
using WatchPicture = std::vector<WatchLine>;  // one a terminal line

struct WatchSize {
  std::size_t lines = 24;
  std::size_t columns = 80;
};

enum class WatchKey : std::uint8_t {
  kUp,
  kDown,
  kPageUp,
  kPageDown,
  kHome,
  kEnd,
  kSort,
  kFold,
  kFoldEqual,
  kWhy,
  kStacks,
  kSave,
  kPause,
  kHelp,
  kBack,  // Esc: closes what is open, else quits
  kQuit,
};

// What a key asks of the program.
enum class WatchWish : std::uint8_t { kNothing, kQuit, kSave };

struct WatchTitle {
  std::string pids;  // "4711 4712"
  base::Nanoseconds interval{};
};

// What `watch` shows and how it answers to keys: pure, the terminal is somebody else's. Looks and
// keys in, pictures out.
class WatchScreen {
 public:
  explicit WatchScreen(WatchTitle title) : title_(std::move(title)) {}

  void resize(WatchSize size);
  void show(WatchLook look);
  // The watched processes have ended; the last look stays.
  void end();
  // One line at the bottom until the next key.
  void say(std::string safe) { note_ = std::move(safe); }
  WatchWish press(WatchKey key);

  WatchPicture picture() const;

  bool paused() const { return paused_; }
  bool ended() const { return ended_; }
  // A stack is on the screen, so looks should have some.
  bool wants_stacks() const { return pane_ == Pane::kStacks; }
  // Null before the first look.
  const model::Snapshot* snapshot() const { return look_.snapshot.get(); }
  const WatchLook& look() const { return look_; }

 private:
  enum class Pane : std::uint8_t { kNone, kHelp, kWhy, kStacks };

  std::vector<WatchLine> head() const;
  std::vector<WatchLine> table(std::size_t lines) const;
  std::vector<WatchLine> detail() const;
  WatchLine bottom() const;
  std::vector<std::string> pane_lines() const;
  std::vector<std::string> stack_lines() const;
  WatchPicture pane_picture() const;
  void open(Pane pane);
  void move(std::ptrdiff_t by);
  void fold();
  void rebuild();
  void follow_selection();
  std::size_t middle_lines() const;
  std::size_t detail_lines() const;
  std::size_t table_lines() const;
  const WatchRow* selected_row() const;

  WatchTitle title_;
  WatchSize size_;
  WatchLook look_;
  WatchBook book_;
  WatchSort sort_ = WatchSort::kTree;
  WatchFolding folding_;
  std::vector<WatchRow> rows_;
  std::size_t selected_ = 0;  // row
  std::size_t top_ = 0;       // first row on the screen
  Pane pane_ = Pane::kNone;
  std::size_t pane_top_ = 0;
  bool paused_ = false;
  bool ended_ = false;
  std::string note_;
};

// For terminals that show ASCII only: every other character becomes one of about its shape.
std::string ascii_text(std::string_view safe);

}  // namespace stucktrace::render
