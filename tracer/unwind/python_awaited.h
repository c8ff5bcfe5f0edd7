#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "tracer/model/snapshot.h"
#include "tracer/unwind/python_frames.h"
#include "tracer/unwind/python_objects.h"
#include "tracer/unwind/python_stack.h"

namespace stucktrace::unwind {

// Reads it off a thread's frames: Thread.join(), threading._shutdown(), the joins and waits of
// multiprocessing and subprocess. Only where everything further in belongs to that very wait.
class PythonAwaited {
 public:
  // Both must outlive this.
  PythonAwaited(const PythonObjects& objects, PythonStacks& stacks)
      : objects_(objects), stacks_(stacks) {}

  // `frames`: the description of `chain`. `futex`: the word that the thread sleeps on; 0 not known.
  std::optional<PythonAwaitedEnd> find(std::uint64_t interpreter, std::span<const PythonLink> chain,
                                       std::span<const model::PythonFrame> frames,
                                       std::uint64_t futex);

 private:
  std::optional<PythonAwaitedEnd> thread_end(std::uint64_t thread, std::uint64_t futex) const;
  // Whether it is this thread's end that a thread asleep on `futex` waits for; nullopt: the version
  // does not tell.
  std::optional<bool> is_parked_for(std::uint64_t thread, std::uint64_t futex) const;
  std::optional<PythonAwaitedEnd> process_end(std::uint64_t process) const;
  std::optional<PythonAwaitedEnd> popen_end(std::uint64_t popen) const;
  std::optional<PythonAwaitedEnd> at_exit(std::uint64_t interpreter, const PythonLink& link,
                                          std::uint64_t futex);
  std::uint64_t lock_word(std::uint64_t lock) const;

  const PythonObjects& objects_;
  PythonStacks& stacks_;
};

}  // namespace stucktrace::unwind
