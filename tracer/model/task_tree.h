#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
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
// they came, threads P2.T1 (main), P2.T2 ... Bounded: of the ended tasks the latest few thousand
// are remembered.
class TaskTree {
 public:
  struct Task {
    std::size_t index = 0;  // in order of appearance
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
  // Every task that is remembered, in order of appearance.
  std::vector<Task> all() const;

  static constexpr std::size_t kEndedKept = 4096;

 private:
  struct Process {
    int number = 0;
    int highest_thread = 1;  // 1 belongs to the main thread
    bool main_seen = false;
    std::unordered_set<std::size_t> threads;  // live ones other than the main one; by index
  };

  Task* live(base::Tid tid);
  Task& add(base::Tid tid, base::Pid pid, base::Instant at);
  void end(Task& task, base::Instant at);
  void forget(std::size_t index);
  void number(Task& task, const TaskSeen& seen);
  void seen(const Event& event, const TaskSeen& seen);
  void made(const Event& event, const NewTask& made);
  void executed(const Event& event, const Exec& exec);

  std::unordered_map<std::size_t, Task> tasks_;        // by index
  std::size_t task_count_ = 0;                         // ever seen
  std::deque<std::size_t> ended_;                      // in the order they ended; may live again
  std::unordered_map<base::Tid, std::size_t> latest_;  // by index
  std::unordered_map<base::Pid, Process> processes_;   // the latest process of each pid
  // Live tasks whose NewTask has not come (it may still: a child can stop before its parent's
  // clone event is reported, ptrace(2)).
  std::unordered_set<base::Tid> unclaimed_;
  int process_count_ = 0;
};

}  // namespace stucktrace::model
