#include "tracer/model/task_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace stucktrace::model {
namespace {

// The kernel's own rule for the name after execve(2): last path component, 15 bytes
// (TASK_COMM_LEN).
std::string comm_of(const std::string& exe) {
  constexpr std::size_t kCommBytes = 15;
  return exe.substr(exe.rfind('/') + 1).substr(0, kCommBytes);
}

}  // namespace

TaskTree::Task* TaskTree::live(base::Tid tid) {
  const auto at = latest_.find(tid);
  if (at == latest_.end()) return nullptr;
  Task& task = tasks_.at(at->second);
  return task.ended ? nullptr : &task;
}

void TaskTree::end(Task& task, base::Instant at) {
  unclaimed_.erase(task.tid);
  if (task.ended) return;
  task.ended = at;
  if (const auto process = processes_.find(task.pid); process != processes_.end()) {
    process->second.threads.erase(task.index);
  }
  ended_.push_back(task.index);
  if (ended_.size() <= kEndedKept) return;
  forget(ended_.front());
  ended_.pop_front();
}

void TaskTree::forget(std::size_t index) {
  const auto at = tasks_.find(index);
  if (at == tasks_.end() || !at->second.ended) return;  // forgotten, or lives again
  const Task& task = at->second;
  if (const auto latest = latest_.find(task.tid);
      latest != latest_.end() && latest->second == index) {
    latest_.erase(latest);
  }
  const auto process = processes_.find(task.pid);
  if (task.thread_number == 1 && process != processes_.end() &&
      process->second.number == task.process_number && process->second.threads.empty()) {
    processes_.erase(process);
  }
  tasks_.erase(at);
}

TaskTree::Task& TaskTree::add(base::Tid tid, base::Pid pid, base::Instant at) {
  const bool is_main = tid == base::main_thread(pid);
  Process& process = processes_[pid];
  // A second main thread of the same pid is another process: the pid was reused.
  if (process.number == 0 || (is_main && process.main_seen)) {
    process = Process{};
    process.number = ++process_count_;
  }
  if (is_main) process.main_seen = true;
  const std::size_t index = task_count_++;
  Task& task = tasks_[index];
  task.index = index;
  task.tid = tid;
  task.pid = pid;
  task.process_number = process.number;
  task.thread_number = is_main ? 1 : ++process.highest_thread;
  task.born = at;
  if (!is_main) {
    if (const Task* main = find(base::main_thread(pid)); main != nullptr && !main->ended) {
      task.parent = main->parent;
      task.comm = main->comm;
      task.exe = main->exe;
    }
  }
  if (!is_main) process.threads.insert(index);
  latest_[tid] = index;
  return task;
}

// As they were counted before the beginning was lost.
void TaskTree::number(Task& task, const TaskSeen& seen) {
  constexpr std::uint32_t kMost = 1U << 30U;  // of a foreign recording
  Process& process = processes_[task.pid];
  task.process_number = process.number = static_cast<int>(std::min(seen.process_number, kMost));
  task.thread_number = static_cast<int>(std::min(seen.thread_number, kMost));
  process.highest_thread = std::max(process.highest_thread, task.thread_number);
  process_count_ = std::max(process_count_, process.number);
}

void TaskTree::seen(const Event& event, const TaskSeen& seen) {
  Task* task = nullptr;
  if (const auto at = latest_.find(event.tid); at != latest_.end()) {
    Task& latest = tasks_.at(at->second);
    const bool known = seen.start_time != 0 && latest.start_time != 0;
    const bool same_start = known && seen.start_time == latest.start_time;
    if ((known && !same_start) || latest.pid != event.pid) {
      end(latest, event.at);
    } else if (!latest.ended || same_start) {
      task = &latest;
    }
  }
  if (task == nullptr) {
    task = &add(event.tid, event.pid, event.at);
    unclaimed_.insert(event.tid);
    if (seen.process_number > 0) number(*task, seen);
  }
  const bool is_main = event.tid == base::main_thread(event.pid);
  if (is_main && seen.parent) task->parent = seen.parent;
  if (seen.start_time != 0) task->start_time = seen.start_time;
  if (!seen.comm.empty()) task->comm = seen.comm;
  if (!seen.exe.empty()) task->exe = seen.exe;
  if (!seen.argv.empty()) task->argv = seen.argv;
}

void TaskTree::made(const Event& event, const NewTask& made) {
  const bool is_thread = made.kind == NewTaskKind::kThread;
  if (live(made.child) != nullptr && unclaimed_.erase(made.child) == 0) {
    // Claimed before and never seen to end: this is a later task with the same number.
    end(*live(made.child), event.at);
  }
  Task* child = live(made.child);
  if (child == nullptr) {
    child = &add(made.child, is_thread ? event.pid : base::Pid{made.child.value()}, event.at);
  }
  const Task* maker = find(event.tid);
  const Task* main = find(base::main_thread(event.pid));
  if (maker == nullptr) maker = main;
  if (!is_thread && !child->parent) child->parent = event.pid;
  if (maker == nullptr || child == maker) return;
  // What a task inherits until it says otherwise; clone(2), fork(2).
  if (child->comm.empty()) child->comm = maker->comm;
  if (child->exe.empty() && main != nullptr) child->exe = main->exe;
  if (!is_thread && child->argv.empty() && main != nullptr) child->argv = main->argv;
}

void TaskTree::executed(const Event& event, const Exec& exec) {
  // execve(2) ends every other thread, and the caller takes over the leader's tid (ptrace(2)).
  const auto others = std::exchange(processes_[event.pid].threads, {});
  for (const std::size_t index : others) end(tasks_.at(index), event.at);
  Task& leader = tasks_.at(latest_.at(event.tid));
  // A leader that had left by pthread_exit(3) lives again.
  leader.exit.reset();
  leader.ended.reset();
  leader.exe = exec.exe;
  leader.argv = exec.argv;
  if (!exec.exe.empty()) leader.comm = comm_of(exec.exe);
}

void TaskTree::observe(const Event& event) {
  if (!event.tid) return;
  if (const auto* first = std::get_if<TaskSeen>(&event.data)) return seen(event, *first);
  // A trace whose head is missing (a ring) still gets its roles.
  if (!latest_.contains(event.tid)) {
    add(event.tid, event.pid, event.at);
    unclaimed_.insert(event.tid);
  }
  if (const auto* child = std::get_if<NewTask>(&event.data)) {
    made(event, *child);
  } else if (const auto* exec = std::get_if<Exec>(&event.data)) {
    executed(event, *exec);
  } else if (const auto* exit = std::get_if<TaskExit>(&event.data)) {
    if (Task* task = live(event.tid); task != nullptr) {
      task->exit = *exit;
      end(*task, event.at);
    }
  }
}

const TaskTree::Task* TaskTree::find(base::Tid tid) const {
  const auto at = latest_.find(tid);
  return at == latest_.end() ? nullptr : &tasks_.at(at->second);
}

std::vector<TaskTree::Task> TaskTree::all() const {
  std::vector<Task> tasks;
  tasks.reserve(tasks_.size());
  for (const auto& [index, task] : tasks_) tasks.push_back(task);
  std::ranges::sort(tasks, {}, &Task::index);
  return tasks;
}

std::string TaskTree::role(base::Tid tid) const {
  const Task* task = find(tid);
  if (task == nullptr) return "?";
  return fmt::format("P{}.T{}", task->process_number, task->thread_number);
}

std::string TaskTree::process_role(base::Pid pid) const {
  const auto at = processes_.find(pid);
  return at == processes_.end() ? "?" : fmt::format("P{}", at->second.number);
}

}  // namespace stucktrace::model
