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

Roles::Roles(const TaskFollower& all) {
  tasks_.reserve(all.tasks().size());
  for (const TaskFollower::Task& seen : all.tasks()) {
    Task& task = tasks_.emplace_back();
    task.is_thread = seen.is_thread;
    task.maker = seen.maker;
    task.order = seen.order;
  }
  name_all();
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

void Roles::follow(const model::Event& event) {
  subject_ = now_.observe(event);
  subject_.task = known(subject_.task);
  subject_.made = known(subject_.made);
}

void Roles::rewind() {
  now_ = {};
  subject_ = {};
}

const std::string& Roles::name(std::size_t task) const {
  return task == kNone ? kNoRole : tasks_[task].role;
}

void Roles::rename(const std::vector<std::string>& names) {
  for (std::size_t task = 0; task < tasks_.size() && task < names.size(); ++task) {
    tasks_[task].role = names[task];
  }
}

}  // namespace stucktrace::compare
