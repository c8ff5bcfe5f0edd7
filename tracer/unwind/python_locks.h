#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tracer/unwind/python_frames.h"
#include "tracer/unwind/python_objects.h"
#include "tracer/unwind/python_stack.h"

namespace stucktrace::unwind {

// A lock object of one process: threading.Lock, RLock, or a lock of multiprocessing.
struct PythonLock {
  enum class Kind : std::uint8_t {
    kPlain,      // _thread.lock: anybody may release it
    kRecursive,  // RLock: only its owner may release it
    kShared,     // SemLock with room for one
  } kind = Kind::kPlain;
  bool has_mutex = false;  // 3.13+: and no sem_t
  std::uint64_t object = 0;
  // Address of its state: of the sem_t, whose word the waiters sleep on, or of the mutex.
  std::uint64_t state = 0;
  std::uint64_t owner = 0;  // pthread_self() of who holds it, where the object records that; else 0
  std::uint64_t references = 0;
};

// Which locks a thread holds and which it waits for, read off its frames. All of it is true only of
// a thread that sleeps throughout.
class PythonLocks {
 public:
  explicit PythonLocks(const PythonObjects& objects)
      : objects_(objects), layout_(objects.layout()) {}

  // The locks (PythonLock::state) whose `with` block is open in a frame and that the thread
  // pthread_self() == `ident` therefore holds. Left out: what a frame further in may have released
  // meanwhile, as Condition.wait() does. A lock held by acquire() alone leaves no trace in a frame.
  std::vector<std::uint64_t> held(std::span<const PythonLink> chain, std::uint64_t ident);

  // The lock object behind the futex word that the thread sleeps on; nullopt: the innermost frame
  // knows no such object, or waits for something else that the library makes of one (a condition,
  // the end of a thread).
  std::optional<PythonLockWait> awaited(std::span<const PythonLink> chain, std::uint64_t futex);

 private:
  struct Code {
    std::string name, file;
    std::uint64_t local_count = 0, stack_size = 0;
    std::vector<std::byte> exceptions;  // 3.11+
    bool releases = false;              // its code names a way to release a lock
  };
  // Where the values of a frame lie.
  struct Slots {
    std::uint64_t locals = 0, local_count = 0;
    std::uint64_t stack = 0;
    std::uint64_t live = 0;  // lowest values of the stack: those below the innermost open block
    // How many values may be there. Above `live` some may be no longer used, unless the frame tells
    // how many there are (3.14+).
    std::uint64_t capacity = 0;
    bool is_exact = false;
  };

  const Code* code(std::uint64_t address);
  std::optional<Code> read_code(std::uint64_t address) const;
  std::optional<Slots> slots(const PythonLink& link);
  // References as they stand there, and the objects they are to.
  std::vector<std::uint64_t> references(std::uint64_t start, std::uint64_t count) const;
  std::vector<std::uint64_t> values(std::uint64_t start, std::uint64_t count) const;
  bool is_taken(const PythonLock& lock) const;
  bool has_mutex(std::uint64_t object, bool plain) const;
  std::optional<PythonLock> lock(std::uint64_t object, int depth = 0) const;
  std::optional<PythonLock> native_lock(std::uint64_t object, const std::string& type) const;
  std::optional<PythonLock> library_lock(std::uint64_t object, const std::string& type,
                                         int depth) const;
  std::uint64_t self_of_exit(std::uint64_t method);
  bool is_unbound_exit(std::uint64_t function);
  bool is_exit_function(std::uint64_t function);
  // Objects whose __exit__ an open block of the frame will call, where that releases a lock.
  std::vector<std::uint64_t> managers(const Slots& slots);
  bool may_have_released(std::span<const PythonLink> inner, const PythonLock& lock);
  std::uint64_t own_references(std::span<const PythonLink> chain, std::uint64_t object);

  const PythonObjects& objects_;
  const PythonLayout& layout_;
  // By address: code objects outlive the few milliseconds of a look.
  std::unordered_map<std::uint64_t, Code> codes_;
};

// The depth of the value stack below the handler of the instruction at byte `offset`, by an
// exception table of 3.11+ (Objects/exception_handling_notes.txt of CPython); 0: no handler, or
// malformed.
std::uint64_t handler_depth(std::span<const std::byte> table, std::int64_t offset);

}  // namespace stucktrace::unwind
