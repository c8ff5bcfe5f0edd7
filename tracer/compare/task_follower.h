#pragma once

#include <cstddef>
#include <unordered_map>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/model/event.h"

namespace stucktrace::compare {

// Tells which task an event is about. A task is meant by its index, in the order they are heard of:
// the same events give the same indices, so that a trace can be gone through again and nothing has
// to be kept of each event.
class TaskFollower {
 public:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  struct Task {
    bool is_thread = false;
    bool ended = false;
    bool claimed = false;       // its NewTask was seen, or will never come
    std::size_t maker = kNone;  // always a smaller index; may be told later than the task is seen
    std::size_t order = 0;      // among what the maker made: which event told of it
  };
  struct Subject {
    std::size_t task = kNone;  // kNone for events about no task
    std::size_t made = kNone;  // by a NewTask event
  };

  Subject observe(const model::Event& event);

  // Of all events so far.
  const std::vector<Task>& tasks() const { return tasks_; }
  // The task that has (or last had) this number; kNone if never seen.
  std::size_t task_of(base::Tid tid) const;

 private:
  std::size_t live(base::Tid tid) const;
  std::size_t add(base::Tid tid, base::Pid pid);
  void seen(const model::Event& event, const model::TaskSeen& seen);
  std::size_t made(const model::Event& event, const model::NewTask& made, std::size_t maker);
  void adopt(std::size_t task, std::size_t maker);

  std::vector<Task> tasks_;
  std::unordered_map<base::Tid, std::size_t> latest_;
  std::size_t event_ = 0;  // how many came before the present one
};

}  // namespace stucktrace::compare
