#include "tracer/render/watch_screen.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tracer/base/text.h"
#include "tracer/render/escape.h"
#include "tracer/render/finding_text.h"
#include "tracer/render/text_report.h"
#include "tracer/render/wait_text.h"
#include "tracer/render/watch_lines.h"
#include "tracer/render/wrap.h"

namespace stucktrace::render {
namespace {

constexpr std::size_t kDetailLines = 2;
// From here on a first look folds what waits alike: nobody reads hundreds of equal rows.
constexpr std::size_t kManyThreads = 40;

std::vector<std::string> lines_of(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  std::vector<std::string> lines;
  for (const std::string_view line : base::split(text, '\n')) lines.emplace_back(line);
  return lines;
}

std::vector<std::string> wrapped_lines(std::string_view safe, std::string_view first,
                                       std::string_view rest, std::size_t width) {
  return lines_of(wrapped(safe, first, rest, width));
}

// At most `most` lines; where something was left out the last one says so.
void limit_lines(std::vector<std::string>& lines, std::size_t most, std::size_t width) {
  if (lines.size() <= most) return;
  lines.resize(most);
  if (lines.empty()) return;
  std::string& last = lines.back();
  last = columns(last) < width ? last + "…" : cut(last + " …", width);
}

WatchLine plain(std::string text, Style style = Style::kPlain) {
  WatchLine line;
  if (!text.empty()) line.spans.push_back({0, style, std::move(text)});
  return line;
}

std::string counted(std::size_t number, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", number, number == 1 ? one : many);
}

void fit(WatchLine& line, std::size_t width) {
  std::erase_if(line.spans, [&](const WatchSpan& span) { return span.column >= width; });
  for (WatchSpan& span : line.spans) span.text = cut(span.text, width - span.column);
}

const std::vector<std::string>& help_lines() {
  static const std::vector<std::string> kLines = {
      "One row a thread; a process is the row of its main thread.",
      "",
      "  !  stuck: part of a finding        ~  slow: waits, and moved between looks",
      "  >  running                         T  stopped (SIGSTOP, terminal)",
      "  +  new                             -  gone",
      "",
      "  ON     who could end the wait; clock: a time-out; outside: nobody seen here",
      "  SINCE  how long it has waited so; > it did so at the first look already",
      "",
      "  Up Down k j, PgUp PgDn, Home End   move",
      "  s        order: tree, stuck first, longest wait",
      "  f Enter  fold a process, or open it again",
      "  F        fold threads that wait alike into one row, or unfold them",
      "  r        why: the findings with their chains and what to change",
      "  t        the selected thread's stack",
      "  w        write a report (JSON) of this look",
      "  p        pause, go on",
      "  q        quit; Esc closes what is open, else quits",
      "",
      "Nothing is stopped by looking."};
  return kLines;
}

}  // namespace

void WatchScreen::resize(WatchSize size) {
  size_ = size;
  follow_selection();
}

void WatchScreen::show(WatchLook look) {
  const bool first = look_.snapshot == nullptr;
  look_ = std::move(look);
  const std::string role = selected_row() != nullptr ? selected_row()->thread->role : "";
  const base::Tid tid = selected_row() != nullptr ? selected_row()->thread->tid : base::Tid{};
  const std::size_t place = selected_;
  rows_.clear();  // they point into the book
  book_.observe(look_);
  if (first) folding_.equal_waits = book_.threads().size() > kManyThreads;
  if (book_.all_gone()) ended_ = true;
  rebuild();
  const auto same = std::ranges::find_if(rows_, [&](const WatchRow& row) {
    return row.thread->tid == tid && row.thread->role == role;
  });
  selected_ = same != rows_.end() ? static_cast<std::size_t>(same - rows_.begin()) : place;
  follow_selection();
}

void WatchScreen::end() {
  ended_ = true;
}

void WatchScreen::rebuild() {
  rows_ = watch_rows(book_.threads(), sort_, folding_);
  follow_selection();
}

const WatchRow* WatchScreen::selected_row() const {
  return selected_ < rows_.size() ? &rows_[selected_] : nullptr;
}

// The selected row exists and is on the screen.
void WatchScreen::follow_selection() {
  selected_ = std::min(selected_, rows_.empty() ? 0 : rows_.size() - 1);
  const std::size_t lines = std::max<std::size_t>(1, table_lines());
  if (selected_ < top_) top_ = selected_;
  if (selected_ >= top_ + lines) top_ = selected_ - lines + 1;
  top_ = std::min(top_, rows_.size() > lines ? rows_.size() - lines : 0);
}

// ---- keys ---------------------------------------------------------------------------------------

void WatchScreen::move(std::ptrdiff_t by) {
  const auto moved = [by](std::size_t from, std::size_t last) {
    const std::ptrdiff_t to = static_cast<std::ptrdiff_t>(from) + by;
    return static_cast<std::size_t>(
        std::clamp<std::ptrdiff_t>(to, 0, static_cast<std::ptrdiff_t>(last)));
  };
  if (pane_ == Pane::kNone) {
    if (!rows_.empty()) selected_ = moved(selected_, rows_.size() - 1);
    follow_selection();
    return;
  }
  const std::size_t shown = size_.lines > 2 ? size_.lines - 2 : 1;
  const std::size_t all = pane_lines().size();
  pane_top_ = moved(pane_top_, all > shown ? all - shown : 0);
}

void WatchScreen::open(Pane pane) {
  pane_ = pane_ == pane ? Pane::kNone : pane;
  pane_top_ = 0;
}

void WatchScreen::fold() {
  const WatchRow* row = selected_row();
  if (row == nullptr) return;
  const base::Pid pid = row->thread->pid;
  if (folding_.processes.erase(pid) == 0) folding_.processes.insert(pid);
  rebuild();
  // The process's own row is what is left of it.
  const auto own = std::ranges::find_if(rows_, [pid](const WatchRow& each) {
    return each.thread->pid == pid && each.thread->is_main();
  });
  if (own != rows_.end()) selected_ = static_cast<std::size_t>(own - rows_.begin());
  follow_selection();
}

WatchWish WatchScreen::press(WatchKey key) {
  note_.clear();
  const auto page = static_cast<std::ptrdiff_t>(
      std::max<std::size_t>(1, pane_ == Pane::kNone ? table_lines() : size_.lines - 2));
  constexpr std::ptrdiff_t kFar = 1'000'000'000;
  switch (key) {
    case WatchKey::kUp:
      move(-1);
      break;
    case WatchKey::kDown:
      move(1);
      break;
    case WatchKey::kPageUp:
      move(-page);
      break;
    case WatchKey::kPageDown:
      move(page);
      break;
    case WatchKey::kHome:
      move(-kFar);
      break;
    case WatchKey::kEnd:
      move(kFar);
      break;
    case WatchKey::kSort: {
      const base::Tid tid = selected_row() != nullptr ? selected_row()->thread->tid : base::Tid{};
      sort_ = sort_ == WatchSort::kTree         ? WatchSort::kStuckFirst
              : sort_ == WatchSort::kStuckFirst ? WatchSort::kLongestWait
                                                : WatchSort::kTree;
      rebuild();
      const auto same = std::ranges::find_if(
          rows_, [tid](const WatchRow& row) { return row.thread->tid == tid; });
      // In an order by urgency what comes first is what one wants to see.
      selected_ = sort_ != WatchSort::kTree || same == rows_.end()
                      ? 0
                      : static_cast<std::size_t>(same - rows_.begin());
      follow_selection();
      break;
    }
    case WatchKey::kFold:
      if (pane_ == Pane::kNone) fold();
      break;
    case WatchKey::kFoldEqual:
      folding_.equal_waits = !folding_.equal_waits;
      rebuild();
      break;
    case WatchKey::kWhy:
      open(Pane::kWhy);
      break;
    case WatchKey::kStacks:
      open(Pane::kStacks);
      break;
    case WatchKey::kHelp:
      open(Pane::kHelp);
      break;
    case WatchKey::kPause:
      paused_ = !paused_;
      break;
    case WatchKey::kSave:
      return WatchWish::kSave;
    case WatchKey::kBack:
      if (pane_ == Pane::kNone) return WatchWish::kQuit;
      pane_ = Pane::kNone;
      break;
    case WatchKey::kQuit:
      return WatchWish::kQuit;
  }
  return WatchWish::kNothing;
}

// ---- pictures -----------------------------------------------------------------------------------

std::vector<WatchLine> WatchScreen::head() const {
  std::size_t processes = 0;
  std::size_t threads = 0;
  std::size_t stuck = 0;
  for (const WatchThread& thread : book_.threads()) {
    if (thread.mood == WatchMood::kGone) continue;
    processes += thread.is_main() ? 1 : 0;
    ++threads;
    stuck += thread.mood == WatchMood::kStuck ? 1 : 0;
  }
  WatchLine title;
  std::string counts = "  looking…";
  if (look_.snapshot) {
    counts = fmt::format("  {}, {}", counted(processes, "process", "processes"),
                         counted(threads, "thread", "threads"));
  }
  const std::string name = "stucktrace watch " + cut(title_.pids, 30);
  title.spans.push_back({0, Style::kBold, name});
  std::size_t column = columns(name);
  const auto put = [&](Style style, const std::string& text) {
    title.spans.push_back({column, style, text});
    column += columns(text);
  };
  put(Style::kPlain, counts);
  if (stuck > 0) put(Style::kAlarm, fmt::format("  {} stuck", stuck));
  if (ended_) {
    put(Style::kWarn, "  ENDED");
  } else if (paused_) {
    put(Style::kWarn, "  PAUSED");
  }
  const std::string right =
      fmt::format("{}  every {}", to_string(sort_), base::human_duration(title_.interval));
  if (column + 2 + columns(right) <= size_.columns) {
    title.spans.push_back({size_.columns - columns(right), Style::kDim, right});
  }

  std::vector<WatchLine> lines{title};
  const auto& findings = look_.diagnosis.findings;
  // The table keeps at least half of the screen.
  const std::size_t room = size_.lines / 3;
  std::vector<std::string> told;
  for (std::size_t i = 0; i < findings.size() && told.size() < room; ++i) {
    std::vector<std::string> sentence =
        wrapped_lines(verdict_sentence(findings[i]), "", "  ", size_.columns);
    // The worst one is told in full, of the others the beginning.
    limit_lines(sentence, i == 0 ? room : 1, size_.columns);
    std::ranges::move(sentence, std::back_inserter(told));
  }
  if (told.size() > room) told.resize(room);
  for (std::string& text : told) lines.push_back(plain(std::move(text), Style::kAlarm));
  return lines;
}

// What head, heading and bottom line leave, for the rows and the selected row's detail.
std::size_t WatchScreen::middle_lines() const {
  const std::size_t others = head().size() + 2;
  return size_.lines > others ? size_.lines - others : 0;
}

// On a very small screen a row is worth more than its detail.
std::size_t WatchScreen::detail_lines() const {
  const std::size_t middle = middle_lines();
  return middle > 1 ? std::min(kDetailLines, middle - 1) : 0;
}

std::size_t WatchScreen::table_lines() const {
  return middle_lines() - detail_lines();
}

std::vector<WatchLine> WatchScreen::table(std::size_t lines) const {
  std::vector<WatchLine> out;
  const WatchColumns columns_of(rows_, size_.columns, sort_ == WatchSort::kTree);
  out.push_back(columns_of.heading());
  for (std::size_t i = top_; i < rows_.size() && i < top_ + lines; ++i) {
    out.push_back(columns_of.line(rows_[i], i == selected_));
  }
  out.resize(lines + 1);
  return out;
}

// The selected row without anything cut.
std::vector<WatchLine> WatchScreen::detail() const {
  std::vector<WatchLine> lines;
  if (const WatchRow* row = selected_row()) {
    const WatchThread& thread = *row->thread;
    std::string text = fmt::format("{} {}: {}", thread.role, thread.name, row->wait);
    if (row->alike > 1) {
      text = fmt::format("{} threads, {} {} and so on: {}", row->alike, thread.role, thread.name,
                         thread.wait);
    }
    if (!thread.whom.empty()) text += " · on " + thread.whom;
    if (look_.snapshot) {
      const model::Thread* known = look_.snapshot->find_thread(thread.tid);
      if (known != nullptr && !known->call_text.empty()) {
        text += " · " + terminal_text(known->call_text, 160);
      }
    }
    std::vector<std::string> told = wrapped_lines(text, "", "  ", size_.columns);
    limit_lines(told, detail_lines(), size_.columns);
    for (std::string& each : told) lines.push_back(plain(std::move(each), Style::kDim));
  }
  lines.resize(detail_lines());
  return lines;
}

WatchLine WatchScreen::bottom() const {
  if (!note_.empty()) return plain(cut(note_, size_.columns), Style::kBold);
  if (ended_) {
    return plain(cut("The watched processes have ended. q quits.", size_.columns), Style::kWarn);
  }
  const std::string why = look_.diagnosis.findings.empty() ? "" : "r why  ";
  return plain(cut("q quit  s order  f fold  F alike  " + why + "t stack  w write  p pause  ? help",
                   size_.columns),
               Style::kDim);
}

std::vector<std::string> WatchScreen::stack_lines() const {
  const WatchRow* row = selected_row();
  if (row == nullptr) return {"no thread is selected"};
  const WatchThread& told = *row->thread;
  std::vector<std::string> lines =
      wrapped_lines(fmt::format("{} {} (tid {}): {}", told.role, told.name, told.tid, told.wait),
                    "", "  ", size_.columns);
  const model::Thread* thread = look_.snapshot ? look_.snapshot->find_thread(told.tid) : nullptr;
  if (thread == nullptr || told.mood == WatchMood::kGone) {
    lines.push_back("  it has gone");
    return lines;
  }
  const auto frames = [&](std::string_view title, const auto& stack) {
    if (stack.empty()) return;
    lines.push_back("");
    lines.emplace_back(title);
    for (const auto& frame : stack) {
      std::ranges::move(wrapped_lines(frame_text(frame), "  ", "    ", size_.columns),
                        std::back_inserter(lines));
    }
  };
  if (!thread->call_text.empty()) {
    std::ranges::move(
        wrapped_lines(terminal_text(thread->call_text, 400), "  in ", "    ", size_.columns),
        std::back_inserter(lines));
  }
  frames("Python, innermost first", thread->python);
  frames("Native, innermost first", thread->stack);
  if (!thread->stack_note.empty()) {
    lines.push_back("");
    lines.push_back("  (" + terminal_text(thread->stack_note, 200) + ")");
  } else if (thread->stack.empty() && thread->python.empty()) {
    lines.push_back(thread->wait.kind == model::WaitKind::kRunning
                        ? "  it runs: its stack changes too fast to be read without stopping it"
                        : "  being read…");
  }
  return lines;
}

std::vector<std::string> WatchScreen::pane_lines() const {
  switch (pane_) {
    case Pane::kHelp:
      return help_lines();
    case Pane::kStacks:
      return stack_lines();
    case Pane::kWhy: {
      model::Report report;
      if (!look_.snapshot) return {"looking…"};
      report.snapshot = look_.snapshot;
      report.taken_at = look_.snapshot->taken_at;
      report.diagnosis = look_.diagnosis;
      return lines_of(text_report(report, {.width = size_.columns}));
    }
    case Pane::kNone:
      break;
  }
  return {};
}

WatchPicture WatchScreen::pane_picture() const {
  const std::vector<std::string> lines = pane_lines();
  const std::size_t shown = size_.lines > 2 ? size_.lines - 2 : 1;
  const std::size_t top = std::min(pane_top_, lines.size() > shown ? lines.size() - shown : 0);
  WatchPicture picture = head();
  picture.resize(1);
  for (std::size_t i = top; i < lines.size() && i < top + shown; ++i) {
    const bool verdict = pane_ == Pane::kWhy && i == 0 && !look_.diagnosis.findings.empty();
    picture.push_back(plain(cut(lines[i], size_.columns), verdict ? Style::kAlarm : Style::kPlain));
  }
  picture.resize(shown + 1);
  std::string hint = "Esc back";
  if (lines.size() > shown) {
    hint += fmt::format("  arrows move  {}-{} of {}", top + 1, std::min(top + shown, lines.size()),
                        lines.size());
  }
  picture.push_back(plain(cut(note_.empty() ? hint : note_, size_.columns), Style::kDim));
  return picture;
}

WatchPicture WatchScreen::picture() const {
  WatchPicture picture;
  if (pane_ != Pane::kNone) {
    picture = pane_picture();
  } else {
    picture = head();
    std::ranges::move(table(table_lines()), std::back_inserter(picture));
    std::ranges::move(detail(), std::back_inserter(picture));
    if (picture.size() >= size_.lines) picture.resize(size_.lines > 0 ? size_.lines - 1 : 0);
    picture.push_back(bottom());
  }
  picture.resize(size_.lines);
  for (WatchLine& line : picture) fit(line, size_.columns);
  return picture;
}

}  // namespace stucktrace::render
