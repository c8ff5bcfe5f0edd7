#include "tracer/engine/call_watch.h"

#include <algorithm>
#include <utility>

#include "syscalls/io.h"
#include "tracer/engine/made_fds.h"
#include "tracer/kernel/remote_memory.h"

namespace stucktrace::engine {
namespace {

using model::Event;

// Every call that may sleep is one to tell; a number no table knows may be.
bool worth_telling(const syscalls::RawCall& call) {
  const syscalls::SyscallRow* row = syscalls::find_row(call.abi, call.number);
  return row == nullptr || row->has(syscalls::Trait::kMayBlock);
}

std::string text_of(const model::SyscallLine& line) {
  std::string text;
  const auto put = [&text](std::uint64_t word) {
    text.append(reinterpret_cast<const char*>(&word), sizeof word);
  };
  put(static_cast<std::uint64_t>(line.call.number));
  for (const std::uint64_t argument : line.call.args) put(argument);
  put(line.stack_pointer);
  put(line.program_counter);
  return text;
}

}  // namespace

void CallWatch::begin(const Event& event, bool in_stopped_call) {
  Task& task = tasks_[event.tid];
  task = {};
  task.pid = event.pid;
  task.in_stopped_call = in_stopped_call;
}

void CallWatch::observe(const Event& event) {
  if (const auto* seen = std::get_if<model::TaskSeen>(&event.data)) {
    tasks_[event.tid].pid = event.pid;
    if (!seen->fds.empty()) tables_[event.pid] = seen->fds;
  } else if (const auto* enter = std::get_if<model::SyscallEnter>(&event.data)) {
    if (!enter->looked_up) begin(event, true);
  } else if (const auto* exit = std::get_if<model::SyscallExit>(&event.data)) {
    if (!exit->looked_up) begin(event, false);
  } else if (const auto* exec = std::get_if<model::Exec>(&event.data)) {
    std::erase_if(tasks_, [&](const auto& item) { return item.second.pid == event.pid; });
    begin(event, false);
    tables_[event.pid] = exec->fds;
  } else if (std::holds_alternative<model::TaskExit>(event.data) ||
             std::holds_alternative<model::Detached>(event.data)) {
    tasks_.erase(event.tid);
    if (event.tid == base::main_thread(event.pid)) tables_.erase(event.pid);
  }
}

void CallWatch::leave(base::Tid tid, Task& task, base::Instant now, std::vector<Event>& out) {
  if (!std::exchange(task.told, false)) return;
  model::SyscallExit exit;
  exit.call = task.call;
  exit.looked_up = true;
  out.push_back({0, now, task.pid, tid, std::move(exit)});
}

void CallWatch::look_at(base::Tid tid, Task& task, base::Instant now, std::vector<Event>& out) {
  const auto line = procfs_.syscall(task.pid, tid);
  if (!line || !*line || (*line)->call.number < 0 || !worth_telling((*line)->call)) {
    leave(tid, task, now, out);
    task.line.clear();
    return;
  }
  std::string text = text_of(**line);
  std::string schedule = procfs_.schedule(task.pid, tid).value_or(std::string{});
  if (text != task.line || schedule != task.schedule) {
    leave(tid, task, now, out);
    task.line = std::move(text);
    task.schedule = std::move(schedule);
    task.since = now;
    task.call = (*line)->call;
    return;
  }
  if (task.told || now - task.since < options_.shortest) return;
  // Held at the entry of a call that stops, which the tracer is about to tell.
  const auto stat = procfs_.stat(task.pid, tid);
  if (!stat || stat->state == 't') {
    task.line.clear();
    return;
  }
  model::SyscallEnter enter;
  enter.call = task.call;
  enter.looked_up = true;
  enter.age = now - task.since;
  syscalls::CaptureOptions capture;
  capture.payload = options_.payload;
  syscalls::capture_enter(task.call, kernel::ProcessMemory(tid), capture, enter.memory);
  enter.fds = descriptors_of(procfs_, task.pid, tid, task.call, enter.memory);
  // What was read belongs to the call only if the thread is in it still.
  const auto again = procfs_.syscall(task.pid, tid);
  if (!again || !*again || text_of(**again) != task.line) return;
  task.told = true;
  out.push_back({0, now, task.pid, tid, std::move(enter)});
}

// Whose descriptors have changed without an event: the other ends of what threads wait on are named
// by these.
void CallWatch::read_tables(base::Instant now, std::vector<Event>& out) {
  constexpr base::Nanoseconds kPause = std::chrono::milliseconds{500};
  constexpr std::size_t kMost = 64;  // processes
  if (now < next_tables_) return;
  next_tables_ = now + kPause;
  std::size_t read = 0;
  base::Pid last;
  std::vector<Event> seen;
  for (const auto& [tid, task] : tasks_) {
    if (tid != base::main_thread(task.pid) || task.pid == last) continue;
    if (++read > kMost) break;
    last = task.pid;
    auto fds = procfs_.fds(task.pid, kernel::FdDetail::kLinks);
    if (!fds) continue;
    std::vector<model::FdEntry>& told = tables_[task.pid];
    const bool same = std::ranges::equal(told, *fds, [](const auto& a, const auto& b) {
      return a.fd == b.fd && a.resource == b.resource;
    });
    if (same) continue;
    told = *fds;
    seen.push_back({0, now, task.pid, tid, model::FdsSeen{std::move(*fds)}});
  }
  // Before the calls that they explain.
  out.insert(out.begin(), std::make_move_iterator(seen.begin()),
             std::make_move_iterator(seen.end()));
}

std::vector<Event> CallWatch::look(const base::Clock& clock) {
  std::vector<Event> events;
  const base::Instant start = clock.now();
  if (start < next_look_) return events;
  bool entered = false;
  for (auto& [tid, task] : tasks_) {
    if (task.in_stopped_call) continue;
    const std::size_t before = events.size();
    look_at(tid, task, start, events);
    entered |= events.size() > before && task.told;
  }
  if (entered) read_tables(start, events);
  const base::Instant end = clock.now();
  // On a busy machine a look takes long for reasons of others: few threads are looked at often.
  constexpr base::Nanoseconds kAThread = std::chrono::milliseconds{1};
  const base::Nanoseconds most =
      options_.pause + static_cast<std::int64_t>(tasks_.size()) * kAThread;
  next_look_ = end + std::clamp(options_.time_share * (end - start), options_.pause, most);
  return events;
}

}  // namespace stucktrace::engine
