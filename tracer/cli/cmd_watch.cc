#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <utility>

#include "tracer/cli/commands.h"
#include "tracer/cli/exit_codes.h"
#include "tracer/cli/failure.h"
#include "tracer/cli/live_session.h"
#include "tracer/cli/options.h"
#include "tracer/cli/output.h"
#include "tracer/cli/targets.h"
#include "tracer/cli/version.h"
#include "tracer/cli/watch_looker.h"
#include "tracer/cli/watch_terminal.h"
#include "tracer/render/escape.h"
#include "tracer/render/json_report.h"

namespace stucktrace::cli {
namespace {

struct WatchOptions {
  CommonOptions common;
  std::vector<std::string> pids;
  std::string interval = "1s";
  bool exit = false;
};

// The signals of this process as something to poll. Blocked before any thread starts, so that all
// threads inherit it and none dies with the terminal left in full-screen mode.
class SignalFd {
 public:
  static base::Result<SignalFd> open() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT}) {
      sigaddset(&set, signal);
    }
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    base::UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd.valid()) return base::system_error("signalfd", base::Errno::last());
    return SignalFd(std::move(fd));
  }
  int get() const { return fd_.get(); }
  // 0: none is pending.
  int take() {
    signalfd_siginfo info{};
    if (::read(fd_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return 0;
    return static_cast<int>(info.ssi_signo);
  }

 private:
  explicit SignalFd(base::UniqueFd fd) : fd_(std::move(fd)) {}
  base::UniqueFd fd_;
};

// Takes the signal's default action, which stops or ends this process.
void let_happen(int signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  std::signal(signal, SIG_DFL);
  ::raise(signal);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

// A new file in the current directory; the name of an existing one is never taken.
base::Result<std::string> save_report(const render::WatchLook& look, base::Pid root) {
  model::Report report;
  report.tool_version = kVersion;
  report.host = host_description();
  report.taken_at = look.snapshot->taken_at;
  report.taken_wall = look.snapshot->taken_wall;
  report.snapshot = look.snapshot;
  report.diagnosis = look.diagnosis;
  report.could_not_see = look.snapshot->could_not_see;
  constexpr int kMostFiles = 10'000;
  constexpr mode_t kMode = 0666;  // less the umask, as every report
  for (int number = 1; number <= kMostFiles; ++number) {
    std::string name = fmt::format("stucktrace-{}-{}.json", root, number);
    const base::UniqueFd file(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kMode));
    if (!file.valid()) {
      const base::Errno code = base::Errno::last();
      if (code.value() == EEXIST) continue;
      return base::system_error(fmt::format("cannot write {}", name), code);
    }
    Output out(file.get(), name);
    out.line(render::json_report(report));
    if (auto written = out.check(); !written) return base::Failure{written.error()};
    return name;
  }
  return base::usage_error("there are too many reports here already");
}

std::string joined(const std::vector<base::Pid>& pids) {
  std::string text;
  for (const base::Pid pid : pids) text += fmt::format("{}{}", text.empty() ? "" : " ", pid);
  return text;
}

// Signals, keys and looks, until the person has seen enough.
class Watch {
 public:
  Watch(const WatchPlan& plan, bool exit_at_end, SignalFd& signals, WatchTerminal& terminal,
        WatchLooker& looker)
      : root_(plan.roots.front()),
        exit_at_end_(exit_at_end),
        signals_(signals),
        terminal_(terminal),
        looker_(looker),
        screen_({joined(plan.roots), plan.interval}) {}

  // The signal that ended it, 0 for none.
  int run() {
    screen_.resize(terminal_.measure());
    while (!done_) {
      looker_.pause(screen_.paused());
      looker_.want_stacks(screen_.wants_stacks());
      terminal_.draw(screen_.picture());
      pollfd sources[] = {
          {signals_.get(), POLLIN, 0}, {looker_.ready_fd(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
      if (::poll(sources, std::size(sources), -1) < 0 && errno != EINTR) return SIGHUP;
      if (sources[0].revents != 0) take_signals();
      if (sources[1].revents != 0) take_news();
      if (sources[2].revents != 0) take_keys();
      // The terminal has gone for good: no key will ever come.
      if ((sources[2].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) return SIGHUP;
    }
    return signal_;
  }

  bool ended() const { return screen_.ended(); }

 private:
  void take_signals() {
    while (const int signal = signals_.take()) {
      switch (signal) {
        case SIGWINCH:
          break;
        case SIGTSTP:
          terminal_.suspend();
          let_happen(SIGTSTP);
          terminal_.resume();
          break;
        case SIGCONT:
          terminal_.resume();
          break;
        default:
          done_ = true;
          // Ctrl-C is one of the ways to quit; the others are for the parent to know.
          signal_ = signal == SIGINT ? 0 : signal;
      }
      screen_.resize(terminal_.measure());
    }
  }

  void take_news() {
    WatchLooker::News news = looker_.take();
    // What was on its way when the person paused comes too late, but for stacks just asked for.
    if (news.look && (!screen_.paused() || screen_.wants_stacks())) {
      screen_.show(std::move(*news.look));
    }
    if (news.ended) screen_.end();
    if (screen_.ended() && exit_at_end_) done_ = true;
  }

  void take_keys() {
    while (const auto key = terminal_.key()) {
      switch (screen_.press(*key)) {
        case render::WatchWish::kQuit:
          done_ = true;
          return;
        case render::WatchWish::kSave:
          save();
          break;
        case render::WatchWish::kNothing:
          break;
      }
    }
  }

  void save() {
    if (screen_.snapshot() == nullptr) return;
    const auto name = save_report(screen_.look(), root_);
    screen_.say(render::terminal_text(name ? "wrote " + *name : name.error().message(), 200));
  }

  base::Pid root_;
  bool exit_at_end_;
  SignalFd& signals_;
  WatchTerminal& terminal_;
  WatchLooker& looker_;
  render::WatchScreen screen_;
  bool done_ = false;
  int signal_ = 0;
};

int watch(const WatchOptions& options) {
  const auto settings = check(options.common);
  if (!settings) return fail(settings.error());
  const auto interval = parse_duration(options.interval, "--interval");
  if (!interval) return fail(interval.error());
  if (*interval < settings->settle) {
    return fail(base::usage_error("--interval must not be shorter than --settle").error());
  }
  auto roots = parse_pids(options.pids);
  if (!roots) return fail(roots.error());
  for (const base::Pid pid : *roots) {
    if (const auto may = may_look(pid); !may) return fail(may.error());
  }
  if (const auto usable = WatchTerminal::check(); !usable) return fail(usable.error());

  const WatchPlan plan{std::move(*roots), *interval, settings->settle, settings->diagnosis};
  auto signals = SignalFd::open();
  if (!signals) return fail(signals.error());
  int signal = 0;
  bool ended = false;
  {
    auto looker = WatchLooker::start(plan);
    if (!looker) return fail(looker.error());
    auto terminal = WatchTerminal::open(settings->color_stdout);
    if (!terminal) return fail(terminal.error());
    Watch session(plan, options.exit, *signals, **terminal, **looker);
    signal = session.run();
    ended = session.ended();
  }
  if (signal != 0) let_happen(signal);
  if (ended && options.exit) {
    Output out(STDOUT_FILENO, "stdout");
    out.line("the watched processes have ended");
  }
  return kExitOk;
}

}  // namespace

void add_watch(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand(
      "watch", "the live tree in the terminal: every thread, what it waits for, on whom");
  auto options = std::make_shared<WatchOptions>();
  command->add_option("pid", options->pids, "the roots of the trees to watch")->required();
  command->add_option("--interval", options->interval, "time from one look to the next")
      ->capture_default_str();
  command->add_flag("--exit", options->exit, "quit when the watched processes have ended");
  add_diagnosis_options(*command, options->common);
  command->add_option("--color", options->common.color, "auto, always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str();
  command->footer(
      "Stops nothing. Keys: q quits, ? tells the others. For one look, or without a terminal: "
      "stucktrace explain.");
  command->callback([options, &action] { action = [options] { return watch(*options); }; });
}

}  // namespace stucktrace::cli
