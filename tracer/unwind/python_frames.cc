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
#include "tracer/unwind/python_awaited.h"
#include "tracer/unwind/python_greenlets.h"
#include "tracer/unwind/python_locks.h"
#include "tracer/unwind/python_memory.h"
#include "tracer/unwind/python_pages.h"
#include "tracer/unwind/python_stack.h"
#include "tracer/unwind/python_state.h"
#include "tracer/unwind/python_tasks.h"

namespace stucktrace::unwind {
namespace {

// Threads that are read together, between two looks at their counters: few enough that a running
// process does not change much meanwhile.
constexpr std::size_t kBatch = 128;
constexpr int kAttempts = 2;  // for a thread that did not hold still in its batch

// Everything the threads of one process are read with.
struct Look {
  base::Pid pid;
  const kernel::Procfs& procfs;
  PageCopies& pages;
  const PythonObjects& objects;
  PythonStacks& stacks;
  PythonLocks& locks;
  PythonAwaited& awaited;
  const std::map<base::Tid, std::uint64_t>& futex_waits;
  const PythonLayout& layout;
  bool same_clock = true;  // CLOCK_MONOTONIC means the same there as here

  // What is read from here on is as it is now, texts of code and names of types included.
  void forget() const {
    pages.forget();
    objects.forget_types();
    stacks.forget();
  }
};

struct Subject {
  std::uint64_t interpreter = 0;
  std::uint64_t state = 0;
  PythonThread thread;
  bool slept = false;  // throughout the look
};

// Changes whenever the thread has been on a CPU; "" unknown. The run time, waiting time and number
// of turns of schedstat cost a third of the context-switch counters; a kernel that does not keep
// them writes zeros.
std::string progress(const Look& look, base::Tid tid) {
  if (!tid) return {};
  const std::string directory = fmt::format("{}/task/{}/", look.pid, tid);
  auto turns = look.procfs.text(directory + "schedstat", 4096);
  if (turns && !turns->starts_with("0 0 0")) return std::move(*turns);
  const auto status = look.procfs.status(look.pid, tid);
  if (!status) return {};
  return fmt::format("{} {}", status->voluntary_switches, status->involuntary_switches);
}

// Equal but for the innermost instruction: the same calls are open, the thread runs in the last.
bool same_calls(std::span<const PythonLink> one, std::span<const PythonLink> other) {
  if (one.size() != other.size() || one.empty()) return false;
  return one[0].frame == other[0].frame && one[0].code == other[0].code &&
         std::ranges::equal(one.subspan(1), other.subspan(1));
}

// Equal but for the innermost line.
bool same_functions(std::span<const model::PythonFrame> one,
                    std::span<const model::PythonFrame> other) {
  const auto same = [&](const model::PythonFrame& a, const model::PythonFrame& b) {
    return a.function == b.function && a.file == b.file && (a.line == b.line || &a == &one[0]);
  };
  return std::ranges::equal(one, other, same);
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

// What one pass over a thread's stack gave.
struct Reading {
  std::vector<PythonLink> chain;
  std::vector<model::PythonFrame> frames;
  std::optional<double> deadline;
  std::vector<std::uint64_t> held_locks;
  std::optional<PythonLockWait> lock_wait;
  std::optional<PythonAwaitedEnd> awaited_end;
};

std::optional<Reading> read_once(const Look& look, const Subject& subject) {
  Reading reading;
  auto chain = look.stacks.chain(subject.state);
  if (!chain) return std::nullopt;
  auto frames = look.stacks.describe(*chain);
  if (!frames) return std::nullopt;
  reading.deadline = look.stacks.deadline(*chain);
  const auto wait = look.futex_waits.find(subject.thread.tid);
  const std::uint64_t futex = wait == look.futex_waits.end() ? 0 : wait->second;
  reading.awaited_end = look.awaited.find(subject.interpreter, *chain, *frames, futex);
  reading.chain = std::move(*chain);
  reading.frames = std::move(*frames);
  return reading;
}

void accept(const Look& look, Reading& reading, PythonThread& thread) {
  thread.frames = std::move(reading.frames);
  thread.awaited_end = std::move(reading.awaited_end);
  if (reading.deadline) thread.deadline_in = remaining(look, *reading.deadline);
}

void read_locks(const Look& look, const PythonThread& thread, Reading& reading) {
  reading.held_locks = look.locks.held(reading.chain, thread.pthread);
  const auto wait = look.futex_waits.find(thread.tid);
  if (wait == look.futex_waits.end()) return;
  reading.lock_wait = look.locks.awaited(reading.chain, wait->second);
}

// For a thread that runs: frames and deadline as of one of two passes in quick succession, if the
// calls it is in were the same in both; else nothing. Nothing keeps its code from being freed, and
// other code from coming to lie there: what is said of it must be the same, too.
void read_running(const Look& look, Subject& subject) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    look.forget();
    auto reading = read_once(look, subject);
    look.forget();
    const auto again = look.stacks.chain(subject.state);
    if (!reading || !again) continue;
    if (*again != reading->chain && !same_calls(*again, reading->chain)) continue;
    const auto frames = look.stacks.describe(*again);
    if (!frames || !same_functions(*frames, reading->frames)) continue;
    accept(look, *reading, subject.thread);
    return;
  }
}

// Reads every thread twice. One that was not on a CPU from before the first pass until after the
// second, and has the same frames in both, was read as it is: its frames have held their code all
// the while. The others are read one by one.
void read_batch(const Look& look, std::span<Subject> subjects) {
  std::vector<std::optional<Reading>> readings;
  std::vector<std::string> before;
  for (const Subject& subject : subjects) before.push_back(progress(look, subject.thread.tid));
  look.forget();
  for (const Subject& subject : subjects) {
    readings.push_back(read_once(look, subject));
    if (readings.back()) read_locks(look, subject.thread, *readings.back());
  }
  look.forget();
  std::vector<bool> stood(subjects.size());
  for (std::size_t index = 0; index < subjects.size(); ++index) {
    if (!readings[index]) continue;
    const auto again = look.stacks.chain(subjects[index].state);
    stood[index] = again && *again == readings[index]->chain;
  }
  for (std::size_t index = 0; index < subjects.size(); ++index) {
    PythonThread& thread = subjects[index].thread;
    subjects[index].slept =
        stood[index] && !before[index].empty() && before[index] == progress(look, thread.tid);
    if (subjects[index].slept) {
      accept(look, *readings[index], thread);
      thread.held_locks = std::move(readings[index]->held_locks);
      thread.lock_wait = readings[index]->lock_wait;
    } else {
      read_running(look, subjects[index]);
    }
  }
}

// An owner that ran meanwhile may have released the lock to another.
void drop_moving_owners(std::span<Subject> subjects) {
  for (Subject& waiter : subjects) {
    auto& wait = waiter.thread.lock_wait;
    if (!wait || wait->owner == 0) continue;
    const bool moved = std::ranges::any_of(subjects, [&](const Subject& other) {
      return other.thread.pthread == wait->owner && !other.slept;
    });
    if (moved) wait->owner = 0;
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

// Tasks that are the same in two readings; in between the loop may have gone round.
void read_tasks(const Look& look, PythonTasks& tasks, std::uint64_t interpreter,
                std::span<const Subject> subjects, model::Interpreter& into) {
  look.forget();
  PythonTasks::All before = tasks.read(interpreter);
  if (before.tasks.empty() && before.more == 0) return;
  look.forget();
  const PythonTasks::All after = tasks.read(interpreter);
  std::map<std::uint64_t, const PythonTaskState*> again;
  for (const PythonTaskState& state : after.tasks) again.emplace(state.address, &state);
  into.tasks_left_out += before.more;
  for (PythonTaskState& state : before.tasks) {
    const auto same = again.find(state.address);
    if (same == again.end() || *same->second != state) {
      ++into.tasks_left_out;
      continue;
    }
    const auto runner = std::ranges::find_if(subjects, [&](const Subject& subject) {
      return state.loop_pthread != 0 && subject.thread.pthread == state.loop_pthread;
    });
    if (runner != subjects.end()) state.task.tid = runner->thread.tid;
    into.tasks.push_back(std::move(state.task));
  }
}

// Greenlets that are the same in two readings.
void read_greenlets(const Look& look, std::uint64_t interpreter, std::span<const Subject> subjects,
                    model::Interpreter& into) {
  look.forget();
  PythonGreenlets greenlets{look.objects, look.stacks, interpreter};
  PythonGreenlets::All all = greenlets.read();
  into.tasks_left_out += all.more;
  if (!all.complete) into.note = "not all of its objects could be searched for greenlets";
  if (all.greenlets.empty()) return;
  look.forget();
  PythonGreenlets later{look.objects, look.stacks, interpreter};
  for (PythonGreenletState& state : all.greenlets) {
    const auto again = later.read_at(state.address);
    if (!again || *again != state) {
      ++into.tasks_left_out;
      continue;
    }
    // Nothing says which thread one belongs to where there are several.
    if (subjects.size() == 1) state.task.tid = subjects.front().thread.tid;
    into.tasks.push_back(std::move(state.task));
  }
}

// "Task-2" before "Task-10".
void sort_tasks(std::vector<model::PythonTask>& tasks) {
  std::ranges::stable_sort(tasks, {}, [](const model::PythonTask& task) {
    const int line = task.frames.empty() ? 0 : task.frames.front().line;
    return std::tuple{task.kind, task.name.size(), task.name, task.coroutine, line};
  });
}

// Who had the lock at the beginning of the look and at its end.
model::Known<base::Tid> settled_holder(std::optional<std::uint64_t> before,
                                       std::optional<std::uint64_t> after,
                                       std::span<const Subject> subjects) {
  if (!before || !after) return model::unknown("cannot be read");
  if (*before != *after) return model::unknown("changes hands");
  if (*after == 0) return base::Tid{};
  const auto holder = std::ranges::find(subjects, *after, &Subject::state);
  if (holder == subjects.end() || !holder->thread.tid) {
    return model::unknown("held by a thread that is not known");
  }
  return holder->thread.tid;
}

base::Error unsupported(std::string what) {
  base::Error error;
  error.kind = base::ErrorKind::kUnsupported;
  error.operation = std::move(what);
  return error;
}

}  // namespace

bool is_unread_python(const base::Error& error) {
  return error.kind == base::ErrorKind::kUnsupported && error.operation.starts_with("CPython");
}

base::Result<PythonProcess> read_python(base::Pid pid,
                                        const std::map<base::Tid, std::uint64_t>& futex_waits) {
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
  PageCopies pages{process};
  const LimitedMemory memory{pages, kMaxPythonReads};
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
  result.interpreter.version = build->version.text;
  if (const auto ends = is_finalizing(objects, images)) {
    result.interpreter.finalizing = *ends;
  } else {
    result.interpreter.finalizing = model::unknown("this version does not record it");
  }
  PythonStacks stacks{objects};
  PythonLocks locks{objects};
  PythonAwaited awaited{objects, stacks};
  const Look look{pid,   procfs,  pages,       objects,       stacks,
                  locks, awaited, futex_waits, build->layout, in_same_time_namespace(procfs, pid)};
  std::vector<Subject> subjects;
  for (const std::uint64_t interpreter : interpreters) {
    const auto states = list_python_threads(objects, images, interpreter);
    const auto matched = match_python_threads(memory, states, live);
    const auto names = python_thread_names(objects, interpreter);
    for (std::size_t index = 0; index < states.size(); ++index) {
      if (!matched[index]) continue;
      Subject subject;
      subject.interpreter = interpreter;
      subject.state = states[index].address;
      subject.thread.tid = *matched[index];
      subject.thread.pthread = states[index].ident;
      subject.thread.holds_gil = states[index].holds_gil;
      if (const auto name = names.find(states[index].ident); name != names.end()) {
        subject.thread.name = name->second;
      }
      subjects.push_back(std::move(subject));
    }
  }
  pages.forget();
  const auto holder = python_gil_holder(objects, images, interpreters.back());
  for (std::size_t at = 0; at < subjects.size(); at += kBatch) {
    const std::size_t count = std::min(kBatch, subjects.size() - at);
    read_batch(look, std::span{subjects}.subspan(at, count));
  }
  drop_moving_owners(subjects);
  for (const std::uint64_t interpreter : interpreters) {
    PythonTasks tasks{objects, stacks};
    read_tasks(look, tasks, interpreter, subjects, result.interpreter);
    read_greenlets(look, interpreter, subjects, result.interpreter);
  }
  sort_tasks(result.interpreter.tasks);
  pages.forget();
  result.interpreter.gil_holder =
      settled_holder(holder, python_gil_holder(objects, images, interpreters.back()), subjects);
  for (Subject& subject : subjects) result.threads.push_back(std::move(subject.thread));
  sort_threads(result.threads, pid);
  return result;
}

}  // namespace stucktrace::unwind
