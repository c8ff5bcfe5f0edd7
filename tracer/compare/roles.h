#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/model/event.h"

namespace stucktrace::compare {

// Names of tasks that two runs of the same program agree on: the place in the tree, never the order
// of arrival. A root process is "P1"; the n-th process made by a thread is that thread's name and
// ".n", the n-th thread made by a thread is its name and "/Tn"; a process and its main thread share
// a name: "P1.2/T1.1" was made by the first thread of the second child of P1.
class Roles {
 public:
  // Reads the whole trace first: a child may be seen before the clone event that tells its maker.
  explicit Roles(std::span<const model::Event> events);

  // Role of the thread that event `index` is about; "" for events about no task.
  const std::string& of_event(std::size_t index) const;
  // Role of the task that a NewTask event made; "" for other events.
  const std::string& made_by(std::size_t index) const;

  // Indices of tasks, for those who give them other names; kNone for events about no task.
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::size_t size() const { return tasks_.size(); }
  std::size_t task_of_event(std::size_t index) const { return subject_[index]; }
  std::size_t task_made_by(std::size_t index) const;
  std::size_t task_of(base::Tid tid) const;  // as of_tid()
  bool is_thread(std::size_t task) const { return tasks_[task].is_thread; }
  // kNone for roots. Always smaller than `task`.
  std::size_t maker_of(std::size_t task) const { return tasks_[task].maker; }
  // The main thread's task.
  std::size_t process_of(std::size_t task) const { return tasks_[task].process; }
  // Of two tasks of one maker the earlier made has the smaller one.
  std::size_t order_of(std::size_t task) const { return tasks_[task].order; }
  // New names for all tasks, by index.
  void rename(const std::vector<std::string>& names);

  // Lets later questions about numbers mean the tasks that had them at that event.
  void advance(std::size_t index);
  // Role of the task that has (or last had) this number; "" if never seen.
  const std::string& of_tid(base::Tid tid) const;
  const std::string& of_pid(base::Pid pid) const { return of_tid(base::main_thread(pid)); }

  // The process (and so main thread) of a root, made by nobody we saw.
  static bool is_root(const std::string& role) {
    return role.starts_with('P') && role.find_first_of("./") == std::string::npos;
  }

 private:
  struct Task {
    base::Pid pid;
    bool is_thread = false;
    bool ended = false;
    bool claimed = false;       // its NewTask was seen, or will never come
    std::size_t maker = kNone;  // always a smaller index
    std::size_t order = 0;      // among what the maker made
    std::size_t depth = 0;
    std::size_t process = kNone;  // its main thread
    std::string role;
  };

  std::size_t live(base::Tid tid) const;
  std::size_t add(base::Tid tid, base::Pid pid, std::size_t event);
  void seen(const model::Event& event, const model::TaskSeen& seen, std::size_t index);
  void made(const model::Event& event, const model::NewTask& made, std::size_t index);
  void adopt(std::size_t task, std::size_t maker, std::size_t event);
  void name_all();

  std::vector<Task> tasks_;
  std::unordered_map<base::Tid, std::size_t> latest_;
  std::vector<std::size_t> subject_;                                             // per event
  std::unordered_map<std::size_t, std::pair<base::Tid, std::size_t>> children_;  // by NewTask event
  std::vector<base::Tid> tid_of_event_;
};

}  // namespace stucktrace::compare
