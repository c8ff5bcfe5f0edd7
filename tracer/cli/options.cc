#include "tracer/cli/options.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdlib>

#include "syscalls/table.h"
#include "tracer/base/text.h"

namespace stucktrace::cli {
namespace {

bool wants_color(const std::string& word, int fd) {
  if (word == "always") return true;
  if (word == "never") return false;
  const char* term = std::getenv("TERM");
  // https://no-color.org: present and not empty means no.
  const char* no_color = std::getenv("NO_COLOR");
  if (no_color != nullptr && *no_color != '\0') return false;
  return ::isatty(fd) == 1 && term != nullptr && std::string_view{term} != "dumb";
}

// "trace=SET" as strace takes it, or the set alone.
std::string_view set_of(std::string_view text) {
  constexpr std::string_view kPrefix = "trace=";
  if (text.starts_with(kPrefix)) text.remove_prefix(kPrefix.size());
  return text;
}

}  // namespace

void add_json_option(CLI::App& app, CommonOptions& options) {
  app.add_flag("--json{-}", options.json,
               "print the report as JSON, one line on stdout; --json=FILE writes it to FILE");
}

void add_output_options(CLI::App& app, CommonOptions& options) {
  add_json_option(app, options);
  app.add_option("--color", options.color, "auto, always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str();
  app.add_flag("-q,--quiet", options.quiet, "only what was asked for: no timeline, no remarks");
  app.add_flag("-v,--verbose", options.verbose, "more detail; twice: everything");
}

void add_report_options(CLI::App& app, CommonOptions& options) {
  app.add_option("--junit", options.junit, "write the findings to FILE as JUnit XML");
  app.add_option("--sarif", options.sarif, "write the findings to FILE as SARIF 2.1.0");
  app.add_option("--html", options.html, "write the report to FILE as one page for a browser");
}

void add_diagnosis_options(CLI::App& app, CommonOptions& options) {
  app.add_option("--stuck-after", options.stuck_after,
                 "how long a stall lasts before it is looked at")
      ->capture_default_str();
  app.add_option("--settle", options.settle, "time between the two looks a verdict is made from")
      ->capture_default_str();
  app.add_option("--announce", options.announce,
                 "a further phrase (regular expression) that announces completion; repeatable")
      ->allow_extra_args(false);
}

void add_tracing_options(CLI::App& app, CommonOptions& options) {
  auto* output =
      app.add_option("-o,--output", options.record_path, "record the trace to FILE (see replay)");
  app.add_option("--ring", options.ring_bytes,
                 "keep the last SIZE (64M) of the recording, and what findings refer to")
      ->transform(CLI::AsSizeValue(false))
      ->needs(output);
  app.add_option("-e", options.trace_set,
                 "trace=SET: calls to trace and show: names, %class, /regex/, all, ! inverts");
  app.add_option("-k,--stacks-at", options.stacks_at,
                 "SET: calls at which to take the thread's stack, native and Python: the words of "
                 "-e; blocked: at each call that lasts longer than --stuck-after");
  app.add_flag("-c,--summary", options.summary,
               "count calls, errors and time by call, process and descriptor in place of the "
               "timeline");
  app.add_option("--attach-mode", options.attach_mode, "seize (default) or attach")
      ->check(CLI::IsMember({"seize", "attach"}));
  app.add_option("--placement", options.placement,
                 "CPU of the tracer's thread: auto, local (the tracee's, always), normal")
      ->check(CLI::IsMember({"auto", "local", "normal"}))
      ->capture_default_str();
  app.add_flag("--fast-idle", options.fast_idle,
               "keep idle CPUs awake meanwhile: faster with many processes, burns power (root)");
  app.add_option("--payload", options.payload,
                 "bytes to keep: none, text (paths, output to stdout and stderr) or all")
      ->check(CLI::IsMember({"none", "text", "all"}))
      ->capture_default_str();
}

base::Result<base::Nanoseconds> parse_duration(const std::string& text, const std::string& option) {
  const auto wrong = [&] {
    return base::usage_error(
        fmt::format("{}: '{}' is no duration", option, base::escape_text(text, 40)),
        "write it as 500ms, 2s or 1m");
  };
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  // 10 years: everything beyond is a slip, and nanoseconds would overflow at 292.
  constexpr double kMaxSeconds = 3.2e8;
  if (error != std::errc{} || !(number >= 0)) return wrong();
  const std::string_view unit = base::trim({rest, static_cast<std::size_t>(end - rest)});
  double seconds = 0;
  if (unit.empty() || unit == "s") {
    seconds = number;
  } else if (unit == "ms") {
    seconds = number / 1e3;
  } else if (unit == "us" || unit == "µs") {
    seconds = number / 1e6;
  } else if (unit == "ns") {
    seconds = number / 1e9;
  } else if (unit == "m" || unit == "min") {
    seconds = number * 60;
  } else if (unit == "h") {
    seconds = number * 3600;
  } else {
    return wrong();
  }
  if (seconds > kMaxSeconds) return wrong();
  return base::Nanoseconds{static_cast<std::int64_t>(seconds * 1e9)};
}

syscalls::TraceSet default_trace_set() {
  using syscalls::CallClass;
  using syscalls::Sys;
  using syscalls::Trait;
  syscalls::TraceSet set = syscalls::TraceSet::none();
  // A tree may hold programs of every ABI of the machine.
  for (const syscalls::Abi abi : {syscalls::kNativeAbi, syscalls::Abi::kI386}) {
    for (const syscalls::SyscallRow& row : syscalls::all_rows(abi)) {
      if (row.has(Trait::kMayBlock) || row.has(Trait::kMakesTask) || row.has(Trait::kPlumbsFds) ||
          row.has(Trait::kNeverReturns) || row.has(Trait::kWritesOutput) ||
          row.in(CallClass::kProcess) || row.in(CallClass::kNetwork)) {
        set.add(row.id);
      }
    }
  }
  for (const Sys id : {Sys::kill,      Sys::tkill,    Sys::tgkill,   Sys::pidfd_send_signal,
                       Sys::unlink,    Sys::unlinkat, Sys::rename,   Sys::renameat,
                       Sys::renameat2, Sys::mkdir,    Sys::mkdirat,  Sys::rmdir,
                       Sys::link,      Sys::linkat,   Sys::symlink,  Sys::symlinkat,
                       Sys::mknod,     Sys::mknodat,  Sys::truncate, Sys::ftruncate,
                       Sys::chmod,     Sys::fchmodat, Sys::setsid,   Sys::setpgid}) {
    set.add(id);
  }
  return set;
}

base::Result<StackCalls> parse_stack_calls(std::string_view text) {
  StackCalls result;
  const std::string_view set = base::trim(set_of(base::trim(text)));
  // The word may stand anywhere in the list; what is left is a set as -e has it.
  constexpr std::string_view kBlocked = "blocked";
  std::string others;
  for (const std::string_view item : base::split(set, ',')) {
    if (base::trim(item) == kBlocked) {
      result.blocked = true;
      continue;
    }
    if (!others.empty()) others += ',';
    others += item;
  }
  if (others.empty() && result.blocked) return result;
  auto calls = syscalls::TraceSet::parse(others);
  if (!calls) {
    base::Error error = calls.error();
    error.operation = "-k: " + error.operation;
    return base::Failure{std::move(error)};
  }
  if (calls->empty()) return base::usage_error("-k: an empty set of system calls");
  result.calls = *calls;
  return result;
}

base::Result<Settings> check(const CommonOptions& options) {
  Settings settings;
  auto stuck_after = parse_duration(options.stuck_after, "--stuck-after");
  if (!stuck_after) return base::Failure{stuck_after.error()};
  auto settle = parse_duration(options.settle, "--settle");
  if (!settle) return base::Failure{settle.error()};
  constexpr base::Nanoseconds kShortest = std::chrono::milliseconds{10};
  if (*stuck_after < kShortest || *settle < kShortest) {
    return base::usage_error("--stuck-after and --settle must be at least 10ms");
  }
  settings.settle = *settle;
  settings.diagnosis.stuck_after = *stuck_after;
  settings.diagnosis.announce = options.announce;

  settings.tracer.style =
      options.attach_mode == "attach" ? kernel::TraceStyle::kAttach : kernel::TraceStyle::kSeize;
  settings.tracer.payload = options.payload == "none"  ? syscalls::Payload::kNone
                            : options.payload == "all" ? syscalls::Payload::kAll
                                                       : syscalls::Payload::kText;
  settings.tracer.placement = options.placement == "local"    ? engine::PlacementPolicy::kLocal
                              : options.placement == "normal" ? engine::PlacementPolicy::kNormal
                                                              : engine::PlacementPolicy::kAuto;
  settings.fast_idle = options.fast_idle;
  settings.tracer.trace = default_trace_set();
  settings.chosen_set = options.verbose > 1;
  settings.timeline.level =
      options.verbose > 0 ? render::TimelineLevel::kCalls : render::TimelineLevel::kStory;
  if (!options.trace_set.empty()) {
    auto set = syscalls::TraceSet::parse(set_of(options.trace_set));
    if (!set) return base::Failure{set.error()};
    settings.tracer.trace = *set;
    settings.timeline.trace = *set;
    settings.timeline.level = render::TimelineLevel::kAll;
    settings.chosen_set = true;
  }
  if (options.stacks_at) {
    const auto stacks = parse_stack_calls(*options.stacks_at);
    if (!stacks) return base::Failure{stacks.error()};
    settings.blocked_stacks = stacks->blocked;
    if (!stacks->calls.empty()) settings.tracer.stacks_at = stacks->calls;
  }
  settings.summary = options.summary;
  if (options.summary) {
    settings.tracer.measure_calls = true;
    // Without a set of its own a count is one of everything.
    if (options.trace_set.empty()) settings.tracer.trace = syscalls::TraceSet::all();
    settings.chosen_set = true;
  }
  settings.record_path = options.record_path;
  settings.ring_bytes = options.ring_bytes;
  settings.json = !options.json.empty();
  if (options.json != "-") settings.json_path = options.json;
  settings.junit_path = options.junit;
  settings.sarif_path = options.sarif;
  settings.html_path = options.html;
  settings.color_stdout = wants_color(options.color, STDOUT_FILENO);
  settings.color_stderr = wants_color(options.color, STDERR_FILENO);
  settings.quiet = options.quiet;
  settings.log_level = options.quiet         ? base::LogLevel::kQuiet
                       : options.verbose > 0 ? base::LogLevel::kVerbose
                                             : base::LogLevel::kNormal;
  return settings;
}

}  // namespace stucktrace::cli
