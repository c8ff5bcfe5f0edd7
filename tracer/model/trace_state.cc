#include "tracer/model/trace_state.h"

#include <algorithm>
#include <utility>

#include "syscalls/io.h"

namespace stucktrace::model {
namespace {

constexpr std::size_t kWordEvents = 4;  // two outputs

const SyscallEnter& enter_of(const Event& event) {
  return std::get<SyscallEnter>(event.data);
}

}  // namespace

void TraceState::observe(const Event& event) {
  if (!first_ && std::holds_alternative<TaskSeen>(event.data)) first_ = event;
  if (const auto* seen = std::get_if<TaskSeen>(&event.data)) {
    at_attach_.try_emplace(event.tid, seen->at_attach);
  } else if (std::holds_alternative<NewTask>(event.data)) {
    made(event);
  } else if (std::holds_alternative<SyscallEnter>(event.data)) {
    open_.insert_or_assign(event.tid, OpenCall{event, std::nullopt});
  } else if (std::holds_alternative<StackSeen>(event.data)) {
    if (const auto open = open_.find(event.tid); open != open_.end()) open->second.stack = event;
  } else if (std::holds_alternative<SyscallExit>(event.data)) {
    returned(event);
  } else if (std::holds_alternative<Exec>(event.data)) {
    executed(event);
  } else if (std::holds_alternative<TaskExit>(event.data)) {
    ended(event);
  } else if (std::holds_alternative<Sample>(event.data)) {
    keep(event);
  }
  tasks_.observe(event);
  fds_.observe(event);
}

// What a process said before it made another, became another program or was given work is no
// announcement that stands (see diagnose::History).
void TraceState::made(const Event& event) {
  if (std::get<NewTask>(event.data).kind != NewTaskKind::kThread) words_.erase(event.pid);
}

void TraceState::executed(const Event& event) {
  words_.erase(event.pid);
  // execve(2) ends every other thread; its own call returns under the leader's number.
  std::erase_if(open_, [&](const auto& open) {
    return open.second.enter.pid == event.pid && open.first != event.tid;
  });
}

void TraceState::returned(const Event& event) {
  for (Kept& kept : samples_) {
    if (kept.open.erase(event.tid) != 0) kept.around.push_back(event);
  }
  const auto at = open_.find(event.tid);
  if (at == open_.end()) return;
  const Event enter = std::move(at->second.enter);
  open_.erase(at);
  const auto& exit = std::get<SyscallExit>(event.data);
  const syscalls::RawCall& call = enter_of(enter).call;
  if (exit.result.is_error || exit.result.value <= 0) return;
  const syscalls::Sys sys = syscalls::sys_of(call.abi, call.number);
  if (syscalls::is_read_like(sys)) {
    for (const syscalls::PolledFd& moved : syscalls::io_fds(call)) {
      const FdEntry* entry = moved.read ? fds_.find(event.pid, moved.fd) : nullptr;
      if (entry != nullptr && is_work(*entry)) words_.erase(event.pid);
    }
  }
  const auto fd = syscalls::io_fd(call);
  if (!fd || !syscalls::is_write_like(sys) || !fds_.is_output(event.pid, *fd)) return;
  std::deque<Event>& words = words_[event.pid];
  words.push_back(enter);
  words.push_back(event);
  if (words.size() > kWordEvents) words.erase(words.begin(), words.begin() + 2);
}

void TraceState::ended(const Event& event) {
  open_.erase(event.tid);
  at_attach_.erase(event.tid);
  const auto in = [&](const Kept& kept) {
    return std::ranges::find(kept.tasks, event.tid, &Event::tid) != kept.tasks.end();
  };
  if (std::ranges::any_of(samples_, in)) ends_.insert_or_assign(event.tid, event);
  if (event.tid != base::main_thread(event.pid)) return;
  words_.erase(event.pid);
  if (first_ && !first_end_ && event.tid == first_->tid) first_end_ = event;
}

void TraceState::keep(const Event& sample) {
  Kept& kept =
      samples_.emplace_back(live_tasks(), calls_and_words(), std::set<base::Tid>{}, sample);
  for (const auto& [tid, call] : open_) kept.open.insert(tid);
  if (samples_.size() <= kSamplesKept) return;
  samples_.pop_front();
  std::erase_if(ends_, [&](const auto& end) { return end.second.at < samples_.front().sample.at; });
}

std::vector<Event> TraceState::live_tasks() const {
  std::vector<Event> all;
  for (const TaskTree::Task& task : tasks_.all()) {
    if (!task.ended) all.push_back(seen(task));
  }
  return all;
}

std::vector<Event> TraceState::calls_and_words() const {
  std::vector<Event> all;
  for (const auto& [tid, call] : open_) {
    all.push_back(call.enter);
    if (call.stack) all.push_back(*call.stack);
  }
  for (const auto& [pid, words] : words_) all.insert(all.end(), words.begin(), words.end());
  return all;
}

Event TraceState::seen(const TaskTree::Task& task) const {
  TaskSeen seen;
  seen.parent = task.parent;
  seen.start_time = task.start_time;
  seen.comm = task.comm;
  const auto at = at_attach_.find(task.tid);
  seen.at_attach = at != at_attach_.end() && at->second;
  if (task.thread_number == 1) {
    seen.exe = task.exe;
    seen.argv = task.argv;
    seen.fds = fds_.entries(task.pid);
  } else {
    seen.parent = task.pid;
  }
  seen.process_number = static_cast<std::uint32_t>(task.process_number);
  seen.thread_number = static_cast<std::uint32_t>(task.thread_number);
  return {0, task.born, task.pid, task.tid, std::move(seen)};
}

std::vector<Event> TraceState::events() const {
  std::vector<Event> all = live_tasks();
  std::set<base::Tid> known;
  for (const Event& task : all) known.insert(task.tid);
  if (first_ && first_end_ && known.insert(first_->tid).second) {
    all.push_back(*first_);
    auto& seen = std::get<TaskSeen>(all.back().data);
    seen.process_number = seen.thread_number = 1;
    all.push_back(*first_end_);
  }
  // Whoever a finding is about, though it has ended since.
  for (const Kept& kept : samples_) {
    for (const Event& task : kept.tasks) {
      const auto end = ends_.find(task.tid);
      if (end == ends_.end() || !known.insert(task.tid).second) continue;
      all.push_back(task);
      all.push_back(end->second);
    }
  }
  std::vector<Event> calls = calls_and_words();
  for (const Kept& kept : samples_) {
    calls.insert(calls.end(), kept.around.begin(), kept.around.end());
    calls.push_back(kept.sample);
  }
  // A call that was open in several samples is told once.
  const auto order = [](const Event& event) { return std::pair{event.at, event.sequence}; };
  std::ranges::sort(calls, {}, order);
  const auto doubles = std::ranges::unique(calls, {}, order);
  calls.erase(doubles.begin(), doubles.end());
  for (Event& call : calls) {
    if (!call.tid || known.contains(call.tid)) all.push_back(std::move(call));
  }
  std::ranges::stable_sort(all, {}, &Event::at);
  return all;
}

}  // namespace stucktrace::model
