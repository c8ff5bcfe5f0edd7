#include "tracer/render/watch_lines.h"

#include <fmt/format.h>

#include <algorithm>

#include "tracer/render/escape.h"

namespace stucktrace::render {
namespace {

constexpr std::size_t kMark = 2;  // the mark and a blank

char mark_of(const WatchRow& row) {
  if (row.thread->fresh && row.mood != WatchMood::kStuck) return '+';
  switch (row.mood) {
    case WatchMood::kStuck:
      return '!';
    case WatchMood::kSlow:
      return '~';
    case WatchMood::kRunning:
      return '>';
    case WatchMood::kStopped:
      return 'T';
    case WatchMood::kGone:
      return '-';
    case WatchMood::kWaiting:
      return ' ';
  }
  return ' ';
}

std::string name_text(const WatchRow& row) {
  return row.alike > 1 ? fmt::format("{} threads", row.alike) : row.thread->name;
}

std::string wait_cell(const WatchRow& row) {
  if (!row.folded || row.hidden_threads + row.hidden_processes == 0) return row.wait;
  const std::string processes =
      row.hidden_processes == 0 ? "" : fmt::format(" of {} more processes", row.hidden_processes);
  return fmt::format("[+{} thread{}{}] {}", row.hidden_threads, row.hidden_threads == 1 ? "" : "s",
                     processes, row.wait);
}

std::string since_text(const WatchRow& row) {
  if (!row.since) return "";
  return (row.at_least ? ">" : "") + watch_duration(*row.since);
}

// Takes columns away from the widest of two until both fit; neither goes below `least`.
void shrink(std::size_t& wide, std::size_t least, std::size_t& over) {
  const std::size_t give = std::min(over, wide > least ? wide - least : 0);
  wide -= give;
  over -= give;
}

}  // namespace

Style style_of(WatchMood mood) {
  switch (mood) {
    case WatchMood::kStuck:
      return Style::kAlarm;
    case WatchMood::kSlow:
      return Style::kWarn;
    case WatchMood::kRunning:
      return Style::kGood;
    case WatchMood::kStopped:
      return Style::kWarn;
    case WatchMood::kGone:
      return Style::kDim;
    case WatchMood::kWaiting:
      return Style::kPlain;
  }
  return Style::kPlain;
}

std::string watch_duration(base::Nanoseconds duration) {
  const std::int64_t seconds = std::max<std::int64_t>(0, duration.count() / 1'000'000'000);
  if (seconds < 10) {
    return fmt::format("{}.{} s", seconds, duration.count() / 100'000'000 % 10);
  }
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{}:{:02}", seconds / 60, seconds % 60);
  if (seconds < 86400) {
    return fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
  }
  return fmt::format("{} d {} h", seconds / 86400, seconds / 3600 % 24);
}

std::string WatchColumns::id_text(const WatchRow& row) const {
  const WatchThread& thread = *row.thread;
  if (tree_) {
    // The number is what is looked for: of a deep tree the lines near the root are left out.
    constexpr std::size_t kBranch = 14;
    const std::size_t wide = columns(row.branch);
    std::string branch = wide <= kBranch ? row.branch : path_text(row.branch, kBranch);
    return branch + fmt::format("{}", thread.tid);
  }
  return thread.is_main() ? fmt::format("{}", thread.pid)
                          : fmt::format("{}/{}", thread.pid, thread.tid);
}

WatchColumns::WatchColumns(const std::vector<WatchRow>& rows, std::size_t width, bool tree)
    : tree_(tree) {
  const auto widen = [](std::size_t& column, std::size_t to) { column = std::max(column, to); };
  id_ = tree ? 3 : 7;
  name_ = 4;
  wait_ = 9;
  since_ = 5;
  for (const WatchRow& row : rows) {
    widen(id_, columns(id_text(row)));
    widen(role_, columns(row.thread->role));
    widen(name_, columns(name_text(row)));
    widen(wait_, columns(wait_cell(row)));
    widen(whom_, columns(row.thread->whom));
    widen(since_, columns(since_text(row)));
  }
  widen(role_, 4);
  if (whom_ > 0) widen(whom_, 2);
  if (width < 60) role_ = whom_ = 0;
  if (width < 40) since_ = 0;
  const auto total = [&] {
    std::size_t sum = kMark + id_;
    for (const std::size_t each : {role_, name_, wait_, whom_, since_}) {
      sum += each == 0 ? 0 : each + 1;
    }
    return sum;
  };
  // What is long is cut where it hurts least: the command line, the other names, then the wait.
  std::size_t over = total() > width ? total() - width : 0;
  shrink(name_, std::clamp<std::size_t>(width / 5, 8, 40), over);
  shrink(whom_, 12, over);
  shrink(wait_, 30, over);
  shrink(name_, 10, over);
  shrink(whom_, 8, over);
  shrink(wait_, 10, over);
  shrink(name_, 4, over);
  shrink(wait_, 0, over);
  // Room to spare keeps the times at the right edge.
  if (over == 0) wait_ += width - std::min(width, total());
}

WatchLine WatchColumns::heading() const {
  WatchLine line;
  std::size_t column = kMark;
  const auto cell = [&](std::size_t size, std::string_view text) {
    if (size == 0) return;
    line.spans.push_back({column, Style::kDim, cut(text, size)});
    column += size + 1;
  };
  cell(id_, tree_ ? "TID" : "PID/TID");
  cell(role_, "ROLE");
  cell(name_, "NAME");
  cell(wait_, "WAITS FOR");
  cell(whom_, "ON");
  if (since_ > 0) line.spans.push_back({column + since_ - 5, Style::kDim, "SINCE"});
  return line;
}

WatchLine WatchColumns::line(const WatchRow& row, bool selected) const {
  WatchLine line;
  line.selected = selected;
  const WatchThread& thread = *row.thread;
  const Style mood = style_of(row.mood);
  const bool gone = row.mood == WatchMood::kGone;
  const Style quiet = gone ? Style::kDim : Style::kPlain;
  if (const char mark = mark_of(row); mark != ' ') {
    line.spans.push_back({0, mark == '+' ? Style::kBold : mood, std::string(1, mark)});
  }
  std::size_t column = kMark;
  const auto cell = [&](std::size_t size, Style style, const std::string& text) {
    if (size == 0) return;
    if (!text.empty()) line.spans.push_back({column, style, cut(text, size)});
    column += size + 1;
  };
  cell(id_, quiet, id_text(row));
  cell(role_, gone ? Style::kDim : Style::kName, thread.role);
  cell(name_, thread.is_main() && !gone ? Style::kBold : quiet, name_text(row));
  cell(wait_, mood, wait_cell(row));
  cell(whom_, gone ? Style::kDim : Style::kName, thread.whom);
  if (since_ > 0) {
    const std::string since = since_text(row);
    if (!since.empty()) line.spans.push_back({column + since_ - columns(since), quiet, since});
  }
  return line;
}

std::string ascii_text(std::string_view safe) {
  struct Shape {
    std::string_view character;
    char ascii;
  };
  constexpr Shape kShapes[] = {{"…", '.'}, {"·", '-'}, {"—", '-'}, {"–", '-'}, {"│", '|'},
                               {"├", '|'}, {"└", '`'}, {"─", '-'}, {"┌", ','}, {"▶", '>'},
                               {"▼", 'v'}, {"▲", '^'}, {"→", '>'}, {"←", '<'}, {"↳", '>'},
                               {"µ", 'u'}, {"×", 'x'}, {"≥", '>'}};
  std::string out;
  while (!safe.empty()) {
    if (static_cast<unsigned char>(safe.front()) < 0x80) {
      out += safe.front();
      safe.remove_prefix(1);
      continue;
    }
    std::size_t size = 1;
    while (size < safe.size() && (static_cast<unsigned char>(safe[size]) & 0xc0U) == 0x80U) ++size;
    const auto known = std::ranges::find(kShapes, safe.substr(0, size), &Shape::character);
    out += known == std::end(kShapes) ? '?' : known->ascii;
    safe.remove_prefix(size);
  }
  return out;
}

}  // namespace stucktrace::render
