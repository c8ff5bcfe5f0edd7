#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/compare/task_follower.h"
#include "tracer/model/event.h"

namespace stucktrace::compare {

// Names of tasks that two runs of the same program agree on: the place in the tree, never the order
// of arrival. A root process is "P1"; the n-th process made by a thread is that thread's name and
// ".n", the n-th thread made by a thread is its name and "/Tn"; a process and its main thread share
// a name: "P1.2/T1.1" was made by the first thread of the second child of P1.
//
// Then follows the same events once more: what is asked about the present event and about numbers
// is meant as of the last event followed.
class Roles {
 public:
  // `all` has seen the whole trace: a child may be seen before the clone event that tells its
  // maker.
  explicit Roles(const TaskFollower& all);

  // Indices of tasks are those of TaskFollower; kNone for events about no task.
  static constexpr std::size_t kNone = TaskFollower::kNone;
  std::size_t size() const { return tasks_.size(); }
  bool is_thread(std::size_t task) const { return tasks_[task].is_thread; }
  // kNone for roots. Always smaller than `task`.
  std::size_t maker_of(std::size_t task) const { return tasks_[task].maker; }
  // The main thread's task.
  std::size_t process_of(std::size_t task) const { return tasks_[task].process; }
  // Of two tasks of one maker the earlier made has the smaller one.
  std::size_t order_of(std::size_t task) const { return tasks_[task].order; }
  // New names for all tasks, by index.
  void rename(const std::vector<std::string>& names);

  // The next event of the trace.
  void follow(const model::Event& event);
  // Before the first one again.
  void rewind();
  // Whom the present event is about.
  std::size_t task() const { return subject_.task; }
  // The task that a NewTask event made; kNone for other events.
  std::size_t made() const { return subject_.made; }
  // The task that has (or last had) this number; kNone if never seen.
  std::size_t task_of(base::Tid tid) const { return known(now_.task_of(tid)); }

  // "" for kNone.
  const std::string& name(std::size_t task) const;
  const std::string& of_tid(base::Tid tid) const { return name(task_of(tid)); }
  const std::string& of_pid(base::Pid pid) const { return of_tid(base::main_thread(pid)); }

  // The process (and so main thread) of a root, made by nobody we saw.
  static bool is_root(const std::string& role) {
    return role.starts_with('P') && role.find_first_of("./") == std::string::npos;
  }

 private:
  struct Task {
    bool is_thread = false;
    std::size_t maker = kNone;  // always a smaller index
    std::size_t order = 0;      // among what the maker made
    std::size_t depth = 0;
    std::size_t process = kNone;  // its main thread
    std::string role;
  };

  void name_all();
  // Events that are not those of before can tell of more tasks than there were.
  std::size_t known(std::size_t task) const { return task < tasks_.size() ? task : kNone; }

  std::vector<Task> tasks_;
  TaskFollower now_;
  TaskFollower::Subject subject_;
};

}  // namespace stucktrace::compare
