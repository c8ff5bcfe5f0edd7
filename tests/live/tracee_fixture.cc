#include "tests/live/tracee_fixture.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

namespace stucktrace::test {

using namespace std::chrono_literals;

namespace {
// Only what hangs takes so long: a storm of 2 s takes 25 s where fifteen others want the two CPUs.
constexpr base::Nanoseconds kPatience = 90s;
}  // namespace

const char* name_of(Mode mode) {
  switch (mode) {
    case Mode::kLaunch:
      return "Launch";
    case Mode::kLaunchTraceme:
      return "LaunchTraceme";
    case Mode::kSeize:
      return "Seize";
    case Mode::kAttach:
      return "Attach";
    case Mode::kSeccomp:
      return "Seccomp";
    case Mode::kSeccompTraceme:
      return "SeccompTraceme";
    case Mode::kDiagnosis:
      return "Diagnosis";
  }
  return "?";
}

Until::Until(std::function<bool()> done)
    : done_(std::move(done)), deadline_(base::SystemClock{}.now() + kPatience) {}

engine::Directive Until::on_tick(base::Instant now) {
  if (done_()) return engine::Directive::kDetach;
  if (now > deadline_) {
    timed_out = true;
    return engine::Directive::kDetach;
  }
  return engine::Directive::kGoOn;
}

Target::Target(std::vector<std::string> words) {
  int in[2];
  int out[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) return;
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::setpgid(0, 0);
    // A tracer that exists already has signals of its own blocked; the target starts with none.
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::dup2(in[0], STDIN_FILENO);
    ::dup2(out[1], STDOUT_FILENO);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  stdin_.reset(in[1]);
  stdout_.reset(out[0]);
  pid_ = base::Pid{child};
}

Target::~Target() {
  if (!pid_) return;
  ::kill(-pid_.value(), SIGKILL);
  ::kill(pid_.value(), SIGKILL);
  while (::waitpid(pid_.value(), nullptr, __WALL) < 0 && errno == EINTR) {
  }
}

bool Target::wait_ready() {
  const base::SystemClock clock;
  const base::Instant deadline = clock.now() + kPatience;
  while (seen_.find("ready\n") == std::string::npos) {
    pollfd readable{stdout_.get(), POLLIN, 0};
    constexpr int kStepMs = 100;
    if (::poll(&readable, 1, kStepMs) > 0) {
      char buffer[4096];
      const ssize_t got = ::read(stdout_.get(), buffer, sizeof buffer);
      if (got <= 0) return false;
      seen_.append(buffer, static_cast<std::size_t>(got));
    }
    if (clock.now() > deadline) return false;
  }
  return true;
}

void Target::go() {
  [[maybe_unused]] const ssize_t written = ::write(stdin_.get(), "g", 1);
}

std::string Target::read_to_end() {
  char buffer[4096];
  for (;;) {
    const ssize_t got = ::read(stdout_.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return seen_;
    seen_.append(buffer, static_cast<std::size_t>(got));
  }
}

int Target::wait() {
  int status = -1;
  while (::waitpid(pid_.value(), &status, __WALL) < 0 && errno == EINTR) {
  }
  pid_ = base::Pid{};
  return status;
}

std::string target_path(const std::string& name) {
  return std::string{STUCKTRACE_BINARY_DIR} + "/target/" + name;
}

RunResult run_native(const std::vector<std::string>& words) {
  Target target(words);
  target.wait_ready();
  target.go();
  target.close_stdin();
  RunResult run;
  run.output = target.read_to_end();
  run.status = target.wait();
  return run;
}

namespace {

int raw_status(const model::TaskExit& exit) {
  return exit.signaled ? exit.code | (exit.core_dumped ? 0x80 : 0) : exit.code << 8;
}

std::string quoted(const std::string& word) {
  std::string result = "'";
  for (const char c : word) result += c == '\'' ? "'\\''" : std::string{c};
  return result + "'";
}

// A tree that goes on after the deadline would keep its descriptors, and with them the test.
void end_what_goes_on(const TracedRun& run) {
  std::set<base::Pid> left;
  for (const model::Event& event : run.events.events) {
    const bool leader = event.tid == base::main_thread(event.pid);
    if (leader && std::holds_alternative<model::TaskSeen>(event.data)) left.insert(event.pid);
    if (leader && std::holds_alternative<model::TaskExit>(event.data)) left.erase(event.pid);
  }
  for (const base::Pid pid : left) ::kill(pid.value(), SIGKILL);
}

void launch_and_follow(const std::vector<std::string>& words, engine::Tracer& tracer,
                       TracedRun& run) {
  // The engine launches with the tool's own descriptors; a shell puts them where the test looks.
  const std::string path =
      (std::filesystem::temp_directory_path() / fmt::format("stucktrace-live-{}", ::getpid()))
          .string();
  std::string line = "exec";
  for (const std::string& word : words) line += " " + quoted(word);
  line += " </dev/null >" + quoted(path);
  engine::Command command;
  command.path = "/bin/sh";
  command.argv = {"sh", "-c", line};
  if (!tracer.launch(command)) return;
  Until until;
  const auto outcome = tracer.run(until);
  run.timed_out = until.timed_out;
  if (run.timed_out) end_what_goes_on(run);
  if (outcome && outcome->root_exit) run.status = raw_status(*outcome->root_exit);
  std::ifstream file(path);
  run.output.assign(std::istreambuf_iterator<char>(file), {});
  std::filesystem::remove(path);
}

void attach_and_follow(const std::vector<std::string>& words, engine::Tracer& tracer,
                       TracedRun& run) {
  Target target(words);
  if (!target.wait_ready()) return;
  if (!tracer.attach(target.pid())) return;
  target.go();
  target.close_stdin();
  Until until;
  const auto outcome = tracer.run(until);
  run.timed_out = until.timed_out;
  if (run.timed_out) end_what_goes_on(run);
  run.output = target.read_to_end();
  // The tracee is our child as well: its exit was reported to the tracer and then to us, as one.
  for (const model::Event& event : run.events.all<model::TaskExit>()) {
    if (event.tid == base::main_thread(target.pid())) {
      run.status = raw_status(std::get<model::TaskExit>(event.data));
      target.forget();
      return;
    }
  }
  // Let go before its end.
  if (outcome && !run.timed_out) run.status = target.wait();
}

}  // namespace

TracedRun run_traced(const std::vector<std::string>& words, Mode mode, syscalls::Payload payload) {
  engine::TracerOptions options;
  options.payload = payload;
  return run_traced(words, mode, std::move(options));
}

TracedRun run_traced(const std::vector<std::string>& words, Mode mode,
                     engine::TracerOptions options) {
  TracedRun run;
  const bool attach_style =
      mode == Mode::kAttach || mode == Mode::kLaunchTraceme || mode == Mode::kSeccompTraceme;
  options.style = attach_style ? kernel::TraceStyle::kAttach : kernel::TraceStyle::kSeize;
  if (mode == Mode::kDiagnosis) {
    options.filter = engine::diagnosis_filter();
  } else if (!is_filtered(mode)) {
    options.filter.reset();
  } else if (!options.filter) {
    options.filter = engine::filter_for(syscalls::TraceSet::all());
  }
  const base::SystemClock clock;
  engine::Tracer tracer(std::move(options), clock, run.events, run.log);
  if (mode == Mode::kSeize || mode == Mode::kAttach) {
    attach_and_follow(words, tracer, run);
  } else {
    launch_and_follow(words, tracer, run);
  }
  return run;
}

std::string status_field(base::Pid pid, const std::string& field) {
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with(field + ":")) continue;
    const std::size_t start = line.find_first_not_of(" \t", field.size() + 1);
    return start == std::string::npos ? "" : line.substr(start);
  }
  return "";
}

bool eventually(const std::function<bool()>& condition) {
  const base::SystemClock clock;
  const base::Instant deadline = clock.now() + 10s;
  while (!condition()) {
    if (clock.now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace stucktrace::test
