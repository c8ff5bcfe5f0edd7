#include "tracer/unwind/python_frames.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "tracer/base/unique_fd.h"
#include "tracer/kernel/procfs.h"
#include "tracer/kernel/remote_memory.h"
#include "tracer/unwind/python_memory.h"
#include "tracer/unwind/python_stack.h"
#include "tracer/unwind/python_state.h"

namespace stucktrace::unwind {
namespace {

constexpr int kAttempts = 3;

// Everything the threads of one process are read with.
struct Look {
  base::Pid pid;
  const kernel::Procfs& procfs;
  PythonStacks& stacks;
  const PythonLayout& layout;
  bool same_clock = true;  // CLOCK_MONOTONIC means the same there as here
};

// How often a thread has been switched out: unchanged while it sleeps. nullopt: not known.
std::optional<std::pair<std::uint64_t, std::uint64_t>> switches(const Look& look, base::Tid tid) {
  if (!tid) return std::nullopt;
  const auto status = look.procfs.status(look.pid, tid);
  if (!status) return std::nullopt;
  return std::pair{status->voluntary_switches, status->involuntary_switches};
}

// Equal but for the innermost instruction: the same calls are open, the thread runs in the last.
bool same_calls(std::span<const PythonLink> one, std::span<const PythonLink> other) {
  if (one.size() != other.size() || one.empty()) return false;
  return one[0].frame == other[0].frame && one[0].code == other[0].code &&
         std::ranges::equal(one.subspan(1), other.subspan(1));
}

std::optional<base::Nanoseconds> remaining(const Look& look, double deadline) {
  constexpr double kLongest = 366.0 * 86400;
  const base::SystemClock clock;
  // 2.7 has no monotonic clock: its time-outs are against time.time().
  if (look.layout.major >= 3 && !look.same_clock) return std::nullopt;
  const base::Nanoseconds now = look.layout.major < 3 ? clock.wall() : clock.now().since_boot;
  const double seconds = deadline - std::chrono::duration<double>(now).count();
  if (!(std::fabs(seconds) < kLongest)) return std::nullopt;
  return base::Nanoseconds{static_cast<std::int64_t>(seconds * 1e9)};
}

// Fills frames and deadline, or leaves them empty where the thread would not hold still.
void read_stack(const Look& look, std::uint64_t state, PythonThread& thread) {
  for (int attempt = 1; attempt <= kAttempts; ++attempt) {
    const auto before = switches(look, thread.tid);
    const auto chain = look.stacks.chain(state);
    if (!chain) continue;
    auto frames = look.stacks.describe(*chain);
    if (!frames) continue;
    const auto deadline = look.stacks.deadline(*chain);
    // Again: what changed in between was read while it changed.
    const auto again = look.stacks.chain(state);
    if (!again) continue;
    const bool same = *again == *chain;
    const bool slept = same && before == switches(look, thread.tid);
    // A thread that never sleeps is taken as it was the last time, if its calls stood still.
    if (!slept && (attempt < kAttempts || (!same && !same_calls(*chain, *again)))) continue;
    thread.frames = std::move(*frames);
    if (deadline) thread.deadline_in = remaining(look, *deadline);
    return;
  }
}

// The process's threads by their number in its own pid namespace: what it calls them itself.
std::map<std::int32_t, base::Tid> live_threads(const kernel::Procfs& procfs, base::Pid pid,
                                               std::span<const base::Tid> tids) {
  const auto own_number = [&](base::Tid tid) {
    const auto status = procfs.status(pid, tid);
    const bool known = status && !status->ns_pids.empty();
    return known ? status->ns_pids.back() : tid.value();
  };
  const auto main = procfs.status(pid);
  const bool nested = main && main->ns_pids.size() > 1;
  std::map<std::int32_t, base::Tid> result;
  for (const base::Tid tid : tids) result.emplace(nested ? own_number(tid) : tid.value(), tid);
  return result;
}

bool in_same_time_namespace(const kernel::Procfs& procfs, base::Pid pid) {
  const auto ours = procfs.link("self/ns/time");
  const auto theirs = procfs.link(fmt::format("{}/ns/time", pid));
  return !ours || !theirs || *ours == *theirs;
}

// One entry for each kernel thread: a thread that has states in several interpreters runs in the
// one with frames.
void sort_threads(std::vector<PythonThread>& threads, base::Pid pid) {
  const auto order = [&](const PythonThread& thread) {
    const bool main = thread.tid == base::main_thread(pid);
    return std::tuple{!main, thread.tid, -static_cast<std::ptrdiff_t>(thread.frames.size())};
  };
  std::ranges::stable_sort(threads, {}, order);
  const auto same = [](const PythonThread& one, const PythonThread& other) {
    return one.tid == other.tid && one.tid;
  };
  threads.erase(std::unique(threads.begin(), threads.end(), same), threads.end());
}

base::Error unsupported(std::string what) {
  base::Error error;
  error.kind = base::ErrorKind::kUnsupported;
  error.operation = std::move(what);
  return error;
}

}  // namespace

base::Result<PythonProcess> read_python(base::Pid pid) {
  const kernel::Procfs procfs;
  const auto mappings = find_python_images(procfs, pid);
  if (!mappings) return base::Failure{mappings.error()};
  const std::vector<PythonImage>& images = mappings->images;
  if (images.empty()) return base::Failure{unsupported("not a CPython process")};
  // Opening asks the same permission as reading, and says why it is refused.
  const base::UniqueFd probe{
      ::open(procfs.path(fmt::format("{}/mem", pid)).c_str(), O_RDONLY | O_CLOEXEC)};
  if (!probe.valid()) {
    const base::Errno code = base::Errno::last();
    return base::system_error("open /proc/PID/mem", code, base::main_thread(pid));
  }
  const kernel::ProcessMemory process{base::main_thread(pid)};
  const LimitedMemory memory{process, kMaxPythonReads};
  const auto build = identify_python(memory, images);
  if (!build) return base::Failure{build.error()};
  const PythonObjects objects{memory, build->layout, images.front().unicode_width};
  const auto interpreters = find_interpreters(objects, *mappings);
  if (interpreters.empty()) {
    return base::Failure{unsupported(fmt::format(
        "CPython {}: no initialised interpreter found (starting, ending, or an unusual build)",
        build->version.text))};
  }
  const auto tids = procfs.tasks(pid);
  if (!tids) return base::Failure{tids.error()};
  const auto live = live_threads(procfs, pid, *tids);

  PythonProcess result;
  result.version = build->version.text;
  result.finalizing = is_finalizing(objects, images);
  PythonStacks stacks{objects};
  const Look look{pid, procfs, stacks, build->layout, in_same_time_namespace(procfs, pid)};
  for (const std::uint64_t interpreter : interpreters) {
    const auto states = list_python_threads(objects, images, interpreter);
    const auto matched = match_python_threads(memory, states, live);
    const auto names = python_thread_names(objects, interpreter);
    for (std::size_t index = 0; index < states.size(); ++index) {
      if (!matched[index]) continue;
      PythonThread thread;
      thread.tid = *matched[index];
      thread.pthread = states[index].ident;
      thread.holds_gil = states[index].holds_gil;
      if (const auto name = names.find(thread.pthread); name != names.end()) {
        thread.name = name->second;
      }
      read_stack(look, states[index].address, thread);
      result.threads.push_back(std::move(thread));
    }
  }
  sort_threads(result.threads, pid);
  return result;
}

}  // namespace stucktrace::unwind
