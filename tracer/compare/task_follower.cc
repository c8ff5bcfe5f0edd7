#include "tracer/compare/task_follower.h"

#include <variant>

namespace stucktrace::compare {

TaskFollower::Subject TaskFollower::observe(const model::Event& event) {
  Subject subject;
  if (event.tid) {
    if (const auto* first = std::get_if<model::TaskSeen>(&event.data)) seen(event, *first);
    std::size_t task = live(event.tid);
    if (task == kNone && std::holds_alternative<model::Exec>(event.data) &&
        latest_.contains(event.tid)) {
      // execve(2) by another thread after the main one had left: the caller is the main thread now.
      task = latest_.at(event.tid);
      tasks_[task].ended = false;
    }
    if (task == kNone) task = add(event.tid, event.pid);
    subject.task = task;
    if (const auto* child = std::get_if<model::NewTask>(&event.data)) {
      subject.made = made(event, *child, task);
    } else if (std::holds_alternative<model::TaskExit>(event.data)) {
      tasks_[task].ended = true;
    }
  }
  ++event_;
  return subject;
}

std::size_t TaskFollower::task_of(base::Tid tid) const {
  const auto at = latest_.find(tid);
  return at == latest_.end() ? kNone : at->second;
}

std::size_t TaskFollower::live(base::Tid tid) const {
  const std::size_t task = task_of(tid);
  return task == kNone || tasks_[task].ended ? kNone : task;
}

std::size_t TaskFollower::add(base::Tid tid, base::Pid pid) {
  const std::size_t index = tasks_.size();
  Task& task = tasks_.emplace_back();
  task.is_thread = tid != base::main_thread(pid);
  task.order = event_;
  latest_[tid] = index;
  // Until its maker is told: a thread belongs to the main one.
  if (task.is_thread) adopt(index, live(base::main_thread(pid)));
  return index;
}

void TaskFollower::adopt(std::size_t task, std::size_t maker) {
  // Makers were there before; anything else is a broken trace and would make circles.
  if (maker == kNone || maker >= task) return;
  tasks_[task].maker = maker;
  tasks_[task].order = event_;
}

void TaskFollower::seen(const model::Event& event, const model::TaskSeen& seen) {
  if (live(event.tid) != kNone) return;
  const std::size_t task = add(event.tid, event.pid);
  tasks_[task].claimed = seen.at_attach;
  if (!tasks_[task].is_thread) adopt(task, live(base::main_thread(seen.parent)));
}

std::size_t TaskFollower::made(const model::Event& event, const model::NewTask& made,
                               std::size_t maker) {
  std::size_t child = live(made.child);
  // Claimed already and never seen to end: this is a later task of the same number.
  if (child == kNone || tasks_[child].claimed) {
    const bool is_thread = made.kind == model::NewTaskKind::kThread;
    child = add(made.child, is_thread ? event.pid : base::Pid{made.child.value()});
  }
  tasks_[child].claimed = true;
  adopt(child, maker);
  return child;
}

}  // namespace stucktrace::compare
