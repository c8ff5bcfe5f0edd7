#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tracer/model/snapshot.h"
#include "tracer/unwind/python_objects.h"
#include "tracer/unwind/python_stack.h"

namespace stucktrace::unwind {

// A task of asyncio as it lies in memory.
struct PythonTaskState {
  std::uint64_t address = 0;
  std::uint64_t loop_pthread = 0;  // pthread_self() of the thread that runs the loop; 0 none
  model::PythonTask task;          // all but `tid`
  bool operator==(const PythonTaskState&) const = default;
};

// Reads the tasks that asyncio.tasks knows of (3.7+), those of C and those in Python alike.
class PythonTasks {
 public:
  // Both must outlive this.
  PythonTasks(const PythonObjects& objects, PythonStacks& stacks)
      : objects_(objects), stacks_(stacks), layout_(objects.layout()) {}

  struct All {
    std::vector<PythonTaskState> tasks;  // those that have not ended
    std::size_t more = 0;                // beyond the number that is read
  };
  All read(std::uint64_t interpreter);
  // The task at this address; nullopt: it has ended, or cannot be read.
  std::optional<PythonTaskState> read_at(std::uint64_t address);

 private:
  bool is_task(std::uint64_t object) const;
  // A field of a task: of one in C by its offset, of one in Python by its name.
  std::uint64_t field(std::uint64_t task, int offset, std::string_view name) const;
  std::string name_of(std::uint64_t task) const;
  std::string awaited(std::uint64_t waiter) const;
  // The frame of a coroutine or generator that has not ended; 0: not one.
  std::uint64_t frame_of(std::uint64_t coroutine) const;
  // What the suspended frame waits for: the topmost value of its stack; 0 = it runs, or has not
  // begun.
  std::uint64_t top_value(const PythonLink& link) const;
  bool is_suspended(std::uint64_t coroutine) const;
  // The tasks in one of the lists of 3.14 and later; false: `visit` has had enough.
  bool each_listed(std::uint64_t head, const std::function<bool(std::uint64_t)>& visit) const;
  // From the outermost coroutine to the innermost that is suspended.
  std::optional<std::vector<PythonLink>> await_chain(std::uint64_t coroutine);

  const PythonObjects& objects_;
  PythonStacks& stacks_;
  const PythonLayout& layout_;
};

}  // namespace stucktrace::unwind
