#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/model/event.h"
#include "tracer/model/fd_tracker.h"
#include "tracer/model/task_tree.h"

namespace stucktrace::model {

// What later events build on: the tasks that live and their descriptors, the calls they are in,
// what each process said last; and the latest samples with what was so when they were taken.
// Whoever has seen events() can go on with what comes after the last observed one. Bounded by the
// number of live tasks and the samples kept.
class TraceState {
 public:
  static constexpr std::size_t kSamplesKept = 16;

  void observe(const Event& event);

  // In order of time. What is said of tasks is made up: a TaskSeen each, with the role it has.
  std::vector<Event> events() const;

 private:
  struct Kept {
    std::vector<Event> tasks;   // that lived at the time
    std::vector<Event> around;  // open calls and last words at the time, and how the calls ended
    std::set<base::Tid> open;   // whose call has not ended yet
    Event sample;
  };

  struct OpenCall {  // an enter without an exit
    Event enter;
    std::optional<Event> stack;  // the thread's in it
  };

  void returned(const Event& event);
  void made(const Event& event);
  void executed(const Event& event);
  void ended(const Event& event);
  void keep(const Event& sample);
  std::vector<Event> live_tasks() const;
  std::vector<Event> calls_and_words() const;
  Event seen(const TaskTree::Task& task) const;

  TaskTree tasks_;
  FdTracker fds_;
  std::optional<Event> first_;  // the command's TaskSeen, or that of what was attached to first
  std::optional<Event> first_end_;
  std::map<base::Tid, bool> at_attach_;  // of live tasks
  std::map<base::Tid, OpenCall> open_;
  std::map<base::Pid, std::deque<Event>> words_;  // enters and exits of the last outputs
  std::deque<Kept> samples_;
  std::map<base::Tid, Event> ends_;  // of tasks in samples that have ended since
};

}  // namespace stucktrace::model
