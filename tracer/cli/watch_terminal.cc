#include "tracer/cli/watch_terminal.h"

// The library's short macro names (move, clear, timeout) would replace other words.
#define NCURSES_NOMACROS 1
#include <curses.h>
#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <string>
#include <string_view>

namespace stucktrace::cli {
namespace {

constexpr const char* kAdvice = "stucktrace explain PID prints the same once, anywhere";

constexpr short kRed = 1;
constexpr short kYellow = 2;
constexpr short kGreen = 3;
constexpr short kCyan = 4;

attr_t attributes_of(render::Style style, bool color) {
  const auto colored = [color](attr_t attributes, short pair) {
    return color ? attributes | static_cast<attr_t>(COLOR_PAIR(pair)) : attributes;
  };
  switch (style) {
    case render::Style::kPlain:
      return A_NORMAL;
    case render::Style::kBold:
      return A_BOLD;
    case render::Style::kDim:
      return A_DIM;
    case render::Style::kAlarm:
      return colored(A_BOLD, kRed);
    case render::Style::kWarn:
      return colored(A_NORMAL, kYellow);
    case render::Style::kGood:
      return colored(A_NORMAL, kGreen);
    case render::Style::kName:
      return colored(A_NORMAL, kCyan);
  }
  return A_NORMAL;
}

// The bytes of `text` that fit into so many columns; what the locale cannot show ends it.
std::size_t fitting(std::string_view text, std::size_t room) {
  std::mbstate_t state{};
  std::size_t at = 0;
  while (at < text.size()) {
    wchar_t wide = 0;
    const std::size_t bytes = std::mbrtowc(&wide, text.data() + at, text.size() - at, &state);
    if (bytes == 0 || bytes > text.size() - at) break;
    const int columns = ::wcwidth(wide);
    if (columns < 0 || static_cast<std::size_t>(columns) > room) break;
    room -= static_cast<std::size_t>(columns);
    at += bytes;
  }
  return at;
}

}  // namespace

base::Result<void> WatchTerminal::check() {
  if (::isatty(STDIN_FILENO) != 1 || ::isatty(STDOUT_FILENO) != 1) {
    return base::usage_error("watch needs a terminal on stdin and stdout", kAdvice);
  }
  const char* term = std::getenv("TERM");
  if (term == nullptr || *term == '\0' || std::string_view{term} == "dumb") {
    return base::usage_error(
        "watch needs a terminal that can move its cursor (TERM is not set, or "
        "dumb)",
        kAdvice);
  }
  return {};
}

base::Result<std::unique_ptr<WatchTerminal>> WatchTerminal::open(bool color) {
  if (auto usable = check(); !usable) return base::Failure{usable.error()};
  // The terminal's characters, and nothing else of the locale: numbers stay as they are.
  std::setlocale(LC_CTYPE, "");
  const bool utf8 = std::string_view{::nl_langinfo(CODESET)} == "UTF-8";
  // The library ignores SIGTSTP while it draws, and ignoring a signal discards one that is pending
  // (sigaction(2)): a Ctrl-Z at that moment would be lost. It leaves alone what has a handler.
  std::signal(SIGTSTP, [](int) {});
  if (::newterm(nullptr, stdout, stdin) == nullptr) {
    return base::usage_error("this terminal (TERM) is unknown here", kAdvice);
  }
  // From here on the destructor restores it.
  return std::unique_ptr<WatchTerminal>(new WatchTerminal(color, utf8));
}

WatchTerminal::WatchTerminal(bool color, bool utf8) : color_(color), utf8_(utf8) {
  // The library installs handlers of its own; ours take signals from a descriptor, and stopping is
  // the kernel's default action.
  for (const int signal : {SIGINT, SIGTERM, SIGTSTP}) std::signal(signal, SIG_DFL);
  if (color_ && ::has_colors()) {
    ::start_color();
    ::use_default_colors();
    ::init_pair(kRed, COLOR_RED, -1);
    ::init_pair(kYellow, COLOR_YELLOW, -1);
    ::init_pair(kGreen, COLOR_GREEN, -1);
    ::init_pair(kCyan, COLOR_CYAN, -1);
  } else {
    color_ = false;
  }
  constexpr int kEscapeMs = 50;  // an arrow key's bytes may come one by one over ssh
  ::set_escdelay(kEscapeMs);
  ::cbreak();
  ::noecho();
  ::nonl();
  ::keypad(stdscr, TRUE);
  ::nodelay(stdscr, TRUE);
  ::curs_set(0);
}

WatchTerminal::~WatchTerminal() {
  ::curs_set(1);
  ::endwin();
}

render::WatchSize WatchTerminal::measure() {
  winsize now{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &now) == 0 && now.ws_row > 0 && now.ws_col > 0 &&
      (now.ws_row != LINES || now.ws_col != COLS)) {
    ::resizeterm(now.ws_row, now.ws_col);
  }
  return {static_cast<std::size_t>(LINES), static_cast<std::size_t>(COLS)};
}

void WatchTerminal::draw(const render::WatchPicture& picture) {
  ::werase(stdscr);
  for (std::size_t y = 0; y < picture.size() && y < static_cast<std::size_t>(LINES); ++y) {
    const render::WatchLine& line = picture[y];
    const attr_t reverse = line.selected ? A_REVERSE : A_NORMAL;
    if (line.selected) {
      ::wattrset(stdscr, static_cast<int>(reverse));
      ::mvwhline(stdscr, static_cast<int>(y), 0, ' ', COLS);
    }
    for (const render::WatchSpan& span : line.spans) {
      if (span.column >= static_cast<std::size_t>(COLS)) continue;
      const std::string text = utf8_ ? span.text : render::ascii_text(span.text);
      const std::size_t room = static_cast<std::size_t>(COLS) - span.column;
      ::wattrset(stdscr, static_cast<int>(attributes_of(span.style, color_) | reverse));
      // Filling the last cell of the screen "fails", having been done.
      ::mvwaddnstr(stdscr, static_cast<int>(y), static_cast<int>(span.column), text.c_str(),
                   static_cast<int>(fitting(text, room)));
    }
  }
  ::wattrset(stdscr, A_NORMAL);
  ::wrefresh(stdscr);
}

std::optional<render::WatchKey> WatchTerminal::key() {
  using enum render::WatchKey;
  for (;;) {
    switch (::wgetch(stdscr)) {
      case ERR:
        return std::nullopt;
      case KEY_UP:
      case 'k':
        return kUp;
      case KEY_DOWN:
      case 'j':
        return kDown;
      case KEY_PPAGE:
        return kPageUp;
      case KEY_NPAGE:
      case ' ':
        return kPageDown;
      case KEY_HOME:
      case 'g':
        return kHome;
      case KEY_END:
      case 'G':
        return kEnd;
      case 's':
        return kSort;
      case 'f':
      case '\n':
      case '\r':
      case KEY_ENTER:
        return kFold;
      case 'F':
        return kFoldEqual;
      case 'r':
        return kWhy;
      case 't':
        return kStacks;
      case 'w':
        return kSave;
      case 'p':
        return kPause;
      case '?':
      case 'h':
        return kHelp;
      case 0x1b:
        return kBack;
      case 'q':
        return kQuit;
      default:
        break;  // a key without a meaning
    }
  }
}

void WatchTerminal::suspend() {
  ::curs_set(1);
  ::endwin();
}

void WatchTerminal::resume() {
  ::reset_prog_mode();
  ::curs_set(0);
  ::clearok(stdscr, TRUE);
  ::wrefresh(stdscr);
}

}  // namespace stucktrace::cli
