#include "tracer/render/finding_place.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "tracer/base/text.h"
#include "tracer/render/escape.h"
#include "tracer/render/told_finding.h"

namespace stucktrace::render {
namespace {

// Without "." and ".." inside: compilers name sources relative to where they ran.
std::string normal(std::string_view file) {
  std::vector<std::string_view> parts;
  for (const std::string_view part : base::split(file, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == ".." && !parts.empty() && parts.back() != "..") {
      parts.pop_back();
    } else if (part != ".." || !file.starts_with('/')) {
      parts.push_back(part);
    }
  }
  std::string out = file.starts_with('/') ? "/" : "";
  for (const std::string_view part : parts)
    out.append(out.ends_with('/') || out.empty() ? "" : "/").append(part);
  return out;
}

// The path below the root, relative to it; nullopt where it is elsewhere.
std::optional<std::string> inside(std::string_view root, std::string_view raw) {
  const std::string whole = normal(raw);
  std::string_view path = whole;
  if (path.starts_with('/')) {
    while (root.ends_with('/')) root.remove_suffix(1);
    if (root.empty() || !path.starts_with(root)) return std::nullopt;
    path.remove_prefix(root.size());
    if (!path.starts_with('/')) return std::nullopt;
    path.remove_prefix(1);
  }
  if (path.empty() || path == ".." || path.starts_with("../")) return std::nullopt;
  return std::string(path);
}

// Libraries of Python that were installed below the root: by whole names, a "lib/python" of the
// job's own is none.
bool of_a_library(std::string_view file) {
  std::string_view before;
  for (const std::string_view part : base::split(file, '/')) {
    if (part == "site-packages" || part == "dist-packages") return true;
    constexpr std::string_view kPython = "python";
    const bool version = part.starts_with(kPython) && part.size() > kPython.size() &&
                         part[kPython.size()] >= '0' && part[kPython.size()] <= '9';
    if (version && (before == "lib" || before == "lib64")) return true;
    before = part;
  }
  return false;
}

// A source file of the job below the root, relative to it.
std::optional<std::string> below(std::string_view root, std::string_view raw) {
  if (raw.empty() || raw.front() == '<') return std::nullopt;  // "<frozen importlib>", "<string>"
  auto file = inside(root, raw);
  if (file && of_a_library(*file)) return std::nullopt;
  return file;
}

// Its sources are not those of the job, whatever their debug information calls them.
bool of_the_system(std::string_view module) {
  if (module.starts_with("/usr/src/") || module.starts_with("/usr/local/src/")) return false;
  constexpr std::array<std::string_view, 6> kSystem = {"/usr/",   "/lib/",    "/lib32/",
                                                       "/lib64/", "/libx32/", "["};
  return std::ranges::any_of(kSystem,
                             [&](std::string_view each) { return module.starts_with(each); });
}

std::optional<SourcePlace> python_place(const model::Thread& thread, std::string_view root) {
  for (const model::PythonFrame& frame : thread.python) {
    if (frame.line <= 0) continue;
    if (auto file = below(root, frame.file)) return SourcePlace{*file, frame.line, frame.function};
  }
  return std::nullopt;
}

// Below Python frames are the interpreter's own, whose sources only look as if they were the job's.
std::optional<SourcePlace> native_place(const model::Thread& thread, std::string_view root) {
  if (!thread.python.empty()) return std::nullopt;
  for (const model::NativeFrame& frame : thread.stack) {
    if (frame.line <= 0) continue;
    const bool lies_below = frame.file.starts_with('/') ||
                            (frame.module.starts_with('/') && inside(root, frame.module));
    if (!lies_below && of_the_system(frame.module)) continue;
    std::string_view name = frame.file;
    // Relative to the directory of the build, which lies below the root more often than not.
    while (name.starts_with("../")) name.remove_prefix(3);
    if (auto file = below(root, name)) return SourcePlace{*file, frame.line, frame.function};
  }
  return std::nullopt;
}

// The file an interpreter was given: the first word that is no option, unless that is code or a
// module's name.
std::string_view script_of(const std::vector<std::string>& argv) {
  for (std::size_t i = 1; i < argv.size(); ++i) {
    const std::string_view word = argv[i];
    if (word == "-c" || word == "-m" || word == "-e") return {};
    if (word.starts_with('-')) continue;
    return word.find_first_of(" \n") == word.npos ? word : std::string_view{};
  }
  return {};
}

std::optional<SourcePlace> program_of(const model::Process& process, std::string_view root) {
  if (process.exe.starts_with('/')) {
    if (auto file = below(root, process.exe)) return SourcePlace{*file, 1, {}};
  }
  const std::string_view script = script_of(process.argv);
  const std::string_view name = script.substr(script.rfind('/') + 1);
  // A word that may be anything: only what is written as a file counts.
  if (!script.starts_with('/') && name.find('.', 1) == name.npos) return std::nullopt;
  if (auto file = below(root, script)) return SourcePlace{*file, 1, {}};
  return std::nullopt;
}

}  // namespace

std::optional<SourcePlace> thread_place(const model::Report& report, base::Tid tid,
                                        const Subject& subject) {
  if (!report.snapshot || subject.source_root.empty()) return std::nullopt;
  const model::Thread* thread = report.snapshot->find_thread(tid);
  if (thread == nullptr) return std::nullopt;
  if (auto place = python_place(*thread, subject.source_root)) return place;
  return native_place(*thread, subject.source_root);
}

std::optional<SourcePlace> source_place(const model::Report& report, const model::Finding& finding,
                                        const Subject& subject) {
  if (auto place = thread_place(report, finding.tid, subject)) return place;
  for (const model::ChainLink& link : finding.chain) {
    if (auto place = thread_place(report, link.tid, subject)) return place;
  }
  return std::nullopt;
}

std::optional<SourcePlace> baseline_place(const model::Comparison& comparison, std::size_t line,
                                          const Subject& subject) {
  if (comparison.baseline.empty() || subject.source_root.empty()) return std::nullopt;
  auto file = inside(subject.source_root, comparison.baseline);
  if (!file) return std::nullopt;
  return SourcePlace{std::move(*file), std::max(1, static_cast<int>(line)), {}};
}

std::optional<SourcePlace> program_place(const model::Report& report, const model::Finding& finding,
                                         const Subject& subject) {
  if (!report.snapshot || subject.source_root.empty()) return std::nullopt;
  std::vector<base::Pid> pids{finding.pid};
  for (const model::ChainLink& link : finding.chain) pids.push_back(link.pid);
  for (const base::Pid pid : pids) {
    const model::Process* process = report.snapshot->find(pid);
    if (process == nullptr) continue;
    if (auto place = program_of(*process, subject.source_root)) return place;
  }
  return std::nullopt;
}

std::string finding_name(const model::Report& report, const model::Finding& finding) {
  const model::Process* process = report.snapshot ? report.snapshot->find(finding.pid) : nullptr;
  if (process == nullptr) return finding.rule;
  return fmt::format("{}: {}{}{}", finding.rule, process->role, process->role.empty() ? "" : " ",
                     process->comm);
}

std::string_view rule_sentence(std::string_view rule) {
  using Row = std::pair<std::string_view, std::string_view>;
  static constexpr auto kRules = std::to_array<Row>({
      {"backlog-full",
       "A client waits to be connected by a server that cannot come to accept the connection."},
      {"deadlock", "Threads wait for each other in a circle."},
      {"exit-held-open",
       "A job's main process has exited, but something it left behind keeps its output open."},
      {"fifo-no-peer", "A named pipe is opened and nobody opens its other end."},
      {"file-lock", "A lock on a file is held by a process that is stuck itself."},
      {"fork-lost-lock", "A lock was copied by fork while another thread held it."},
      {"inherited-lock",
       "A lock on a file lives on in a process that inherited the locked descriptor."},
      {"leaked-write-end",
       "A reader waits for the end of a pipe whose write end only a bystander keeps open."},
      {"lock-cycle", "Threads hold a lock each and wait for the other's."},
      {"lock-owner-blocked",
       "Threads wait for a lock whose owner is blocked in output, a connection or a disk."},
      {"lock-owner-gone", "Threads wait for a lock whose owner has ended."},
      {"no-waker", "Threads wait to be woken and nobody is left who could do it."},
      {"pipe-full", "A writer waits on a full pipe whose readers cannot come to read."},
      {"pipe-full-after-announce",
       "A process that is done cannot exit: one of its threads writes to a full pipe."},
      {"queue-full", "A sender waits on a full message queue whose receiver waits for the sender."},
      {"self-deadlock", "A thread waits for something that only it itself could do."},
      {"self-held-write-end",
       "A reader waits for the end of a pipe whose write end it holds itself."},
      {"socket-full", "Both sides of a connection send and none receives."},
      {"stopped-process", "Somebody waits for a stopped process."},
      {"timed-deadlock",
       "Threads wait for each other in a circle, which only a time-out will break."},
      {"tty-background", "A background process wants the terminal."},
      {"unread-output",
       "A child waits to write its output while its parent, who should read it, waits for it."},
      {"vfork-stuck", "The child of a vfork does not come to exec or exit."},
  });
  static_assert(std::ranges::is_sorted(kRules, {}, &Row::first));
  const auto at = std::ranges::lower_bound(kRules, rule, {}, &Row::first);
  return at != kRules.end() && at->first == rule ? at->second : std::string_view{};
}

Severity severity_of(const Told& told) {
  return told.resolved() || told.finding->certainty == model::Certainty::kLikely
             ? Severity::kWarning
             : Severity::kError;
}

std::string finding_story(const model::Report& report, const Told& told) {
  Page page(TextOptions{});
  page.paragraph(verdict_text(told), "", "");
  write_finding(report, told, page);
  return page.take();
}

}  // namespace stucktrace::render
