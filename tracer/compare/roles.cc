#include "tracer/compare/roles.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

namespace stucktrace::compare {
namespace {

const std::string kNoRole;

// Names grow with the depth of the tree; deeper tasks get short names in order of arrival.
constexpr std::size_t kDeepest = 64;

}  // namespace

Roles::Roles(std::span<const model::Event> events) {
  subject_.reserve(events.size());
  tid_of_event_.reserve(events.size());
  for (std::size_t index = 0; index < events.size(); ++index) {
    const model::Event& event = events[index];
    tid_of_event_.push_back(event.tid);
    subject_.push_back(kNone);
    if (!event.tid) continue;
    if (const auto* first = std::get_if<model::TaskSeen>(&event.data)) seen(event, *first, index);
    std::size_t task = live(event.tid);
    if (task == kNone && std::holds_alternative<model::Exec>(event.data) &&
        latest_.contains(event.tid)) {
      // execve(2) by another thread after the main one had left: the caller is the main thread now.
      task = latest_.at(event.tid);
      tasks_[task].ended = false;
    }
    if (task == kNone) task = add(event.tid, event.pid, index);
    subject_.back() = task;
    if (const auto* child = std::get_if<model::NewTask>(&event.data)) {
      made(event, *child, index);
    } else if (std::holds_alternative<model::TaskExit>(event.data)) {
      tasks_[task].ended = true;
    }
  }
  name_all();
  latest_.clear();
}

std::size_t Roles::live(base::Tid tid) const {
  const auto at = latest_.find(tid);
  return at == latest_.end() || tasks_[at->second].ended ? kNone : at->second;
}

std::size_t Roles::add(base::Tid tid, base::Pid pid, std::size_t event) {
  const std::size_t index = tasks_.size();
  Task& task = tasks_.emplace_back();
  task.pid = pid;
  task.is_thread = tid != base::main_thread(pid);
  task.order = event;
  latest_[tid] = index;
  // Until its maker is told: a thread belongs to the main one.
  if (task.is_thread) adopt(index, live(base::main_thread(pid)), event);
  return index;
}

void Roles::adopt(std::size_t task, std::size_t maker, std::size_t event) {
  // Makers were there before; anything else is a broken trace and would make circles.
  if (maker == kNone || maker >= task) return;
  tasks_[task].maker = maker;
  tasks_[task].order = event;
}

void Roles::seen(const model::Event& event, const model::TaskSeen& seen, std::size_t index) {
  if (live(event.tid) != kNone) return;
  const std::size_t task = add(event.tid, event.pid, index);
  tasks_[task].claimed = seen.at_attach;
  if (!tasks_[task].is_thread) adopt(task, live(base::main_thread(seen.parent)), index);
}

void Roles::made(const model::Event& event, const model::NewTask& made, std::size_t index) {
  std::size_t child = live(made.child);
  // Claimed already and never seen to end: this is a later task of the same number.
  if (child == kNone || tasks_[child].claimed) {
    const bool is_thread = made.kind == model::NewTaskKind::kThread;
    child = add(made.child, is_thread ? event.pid : base::Pid{made.child.value()}, index);
  }
  tasks_[child].claimed = true;
  adopt(child, subject_[index], index);
  children_[index] = {made.child, child};
}

void Roles::name_all() {
  // What each maker made, in the order it did: numbers count processes and threads apart.
  std::vector<std::size_t> by_order(tasks_.size());
  std::iota(by_order.begin(), by_order.end(), std::size_t{0});
  std::ranges::stable_sort(by_order, {}, [&](std::size_t task) { return tasks_[task].order; });
  std::map<std::pair<std::size_t, bool>, int> counts;
  std::vector<int> numbers(tasks_.size());
  for (const std::size_t task : by_order) {
    numbers[task] = ++counts[{tasks_[task].maker, tasks_[task].is_thread}];
  }
  int roots = 0;
  int deep = 0;
  for (std::size_t index = 0; index < tasks_.size(); ++index) {
    Task& task = tasks_[index];
    // A maker has the smaller index.
    task.process = task.is_thread && task.maker != kNone ? tasks_[task.maker].process : index;
    if (task.maker == kNone) {
      task.role = fmt::format("P{}", ++roots);
      continue;
    }
    const Task& maker = tasks_[task.maker];
    task.depth = maker.depth + 1;
    if (task.depth % kDeepest == 0) {
      task.role = fmt::format("D{}{}", ++deep, task.is_thread ? "/T0" : "");
    } else {
      task.role = fmt::format("{}{}{}", maker.role, task.is_thread ? "/T" : ".", numbers[index]);
    }
  }
}

const std::string& Roles::of_event(std::size_t index) const {
  const std::size_t task = subject_[index];
  return task == kNone ? kNoRole : tasks_[task].role;
}

const std::string& Roles::made_by(std::size_t index) const {
  const auto at = children_.find(index);
  return at == children_.end() ? kNoRole : tasks_[at->second.second].role;
}

void Roles::advance(std::size_t index) {
  if (subject_[index] != kNone) latest_[tid_of_event_[index]] = subject_[index];
  if (const auto at = children_.find(index); at != children_.end()) {
    latest_[at->second.first] = at->second.second;
  }
}

const std::string& Roles::of_tid(base::Tid tid) const {
  const auto at = latest_.find(tid);
  return at == latest_.end() ? kNoRole : tasks_[at->second].role;
}

std::size_t Roles::task_made_by(std::size_t index) const {
  const auto at = children_.find(index);
  return at == children_.end() ? kNone : at->second.second;
}

std::size_t Roles::task_of(base::Tid tid) const {
  const auto at = latest_.find(tid);
  return at == latest_.end() ? kNone : at->second;
}

void Roles::rename(const std::vector<std::string>& names) {
  for (std::size_t task = 0; task < tasks_.size() && task < names.size(); ++task) {
    tasks_[task].role = names[task];
  }
}

}  // namespace stucktrace::compare
