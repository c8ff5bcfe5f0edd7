#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "syscalls/decode.h"
#include "tracer/base/clock.h"
#include "tracer/base/log.h"
#include "tracer/base/result.h"
#include "tracer/diagnose/diagnose.h"
#include "tracer/engine/options.h"
#include "tracer/render/text_report.h"
#include "tracer/render/text_timeline.h"

namespace CLI {
class App;
}

namespace stucktrace::cli {

// What the words on the command line were, before anything is checked. One struct for all commands
// that look at something; each adds the groups it understands.
struct CommonOptions {
  std::string record_path;               // -o
  std::uint64_t ring_bytes = 0;          // --ring
  std::string json;                      // --json gives "-", --json=FILE the path, "" none
  std::string trace_set;                 // -e trace=SET
  std::optional<std::string> stacks_at;  // -k SET
  std::string stuck_after = "1s";
  std::string settle = "200ms";
  std::vector<std::string> announce;
  std::string attach_mode = "seize";
  std::string placement = "auto";
  bool summary = false;  // -c
  bool fast_idle = false;
  std::string payload = "text";
  std::string junit;  // --junit
  std::string sarif;  // --sarif
  std::string html;   // --html
  std::string color = "auto";
  bool quiet = false;
  int verbose = 0;
};

void add_output_options(CLI::App& app, CommonOptions& options);  // --json --color -q -v
void add_json_option(CLI::App& app, CommonOptions& options);     // --json alone
void add_report_options(CLI::App& app, CommonOptions& options);  // --junit --sarif --html
void add_diagnosis_options(CLI::App& app,
                           CommonOptions& options);  // --stuck-after --settle --announce
void add_tracing_options(CLI::App& app, CommonOptions& options);  // -o -e --attach-mode --payload

// "1s", "200ms", "1.5 s", "2m", "3" (seconds).
base::Result<base::Nanoseconds> parse_duration(const std::string& text, const std::string& option);

// Checked options.
struct Settings {
  engine::TracerOptions tracer;
  bool fast_idle = false;
  bool summary = false;
  bool blocked_stacks = false;  // of threads that have been blocked for --stuck-after
  bool chosen_set = false;      // -e was given, or everything asked for (-vv)
  bool keep_events = false;     // to be compared at the end
  diagnose::Settings diagnosis;
  base::Nanoseconds settle{};
  std::string record_path;
  std::uint64_t ring_bytes = 0;  // 0: all is kept
  bool json = false;
  std::string json_path;
  std::string junit_path;
  std::string sarif_path;
  std::string html_path;
  render::TimelineOptions timeline;
  bool color_stdout = false;
  bool color_stderr = false;
  bool quiet = false;
  base::LogLevel log_level = base::LogLevel::kNormal;
};

// What -k SET names.
struct StackCalls {
  syscalls::TraceSet calls = syscalls::TraceSet::none();
  bool blocked = false;  // the word `blocked`
};
base::Result<StackCalls> parse_stack_calls(std::string_view text);
base::Result<Settings> check(const CommonOptions& options);

// The calls that a default trace keeps: process life, calls that can block, descriptor plumbing,
// output, signals sent, and changes to the file tree.
syscalls::TraceSet default_trace_set();

}  // namespace stucktrace::cli
