#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/model/event.h"

namespace stucktrace::model {

// The tree as events tell it. Identity is the tid for as long as the task lives; a reused tid is a
// new task with a new role. Roles are stable names without pids: processes P1, P2 ... in the order
// they came, threads P2.T1 (main), P2.T2 ...
class TaskTree {
 public:
  struct Task {
    base::Tid tid;
    base::Pid pid;
    base::Pid parent;        // of the process
    int process_number = 0;  // 1..
    int thread_number = 0;   // 1 = main thread
    std::uint64_t start_time = 0;
    std::string comm;
    std::string exe;
    std::vector<std::string> argv;
    std::optional<TaskExit> exit;
    base::Instant born;
    std::optional<base::Instant> ended;
  };

  void observe(const Event& event);

  // The live (or, if none, latest ended) task with this tid; nullptr if never seen.
  const Task* find(base::Tid tid) const;
  // "P2.T1"; "?" for a task never seen.
  std::string role(base::Tid tid) const;
  // "P2".
  std::string process_role(base::Pid pid) const;
  // Every task ever seen, in order of appearance.
  const std::vector<Task>& all() const { return tasks_; }

 private:
  Task& add(base::Tid tid, base::Pid pid, base::Instant at);
  std::vector<Task> tasks_;
  std::unordered_map<base::Tid, std::size_t> latest_;        // index into tasks_
  std::unordered_map<base::Pid, int> threads_;               // highest thread number per process
  std::unordered_map<base::Pid, base::Pid> pending_parent_;  // fork seen before the child
  int processes_ = 0;
};

}  // namespace stucktrace::model
