#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
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
  struct Process {
    int number = 0;
    int highest_thread = 1;  // 1 belongs to the main thread
    bool main_seen = false;
    std::vector<std::size_t> threads;  // other than the main one; indices into tasks_
  };

  Task* live(base::Tid tid);
  Task& add(base::Tid tid, base::Pid pid, base::Instant at);
  void end(Task& task, base::Instant at);
  void seen(const Event& event, const TaskSeen& seen);
  void made(const Event& event, const NewTask& made);
  void executed(const Event& event, const Exec& exec);

  std::vector<Task> tasks_;
  std::unordered_map<base::Tid, std::size_t> latest_;  // index into tasks_
  std::unordered_map<base::Pid, Process> processes_;   // the latest process of each pid
  // Live tasks whose NewTask has not come (it may still: a child can stop before its parent's
  // clone event is reported, ptrace(2)).
  std::unordered_set<base::Tid> unclaimed_;
  int process_count_ = 0;
};

}  // namespace stucktrace::model
