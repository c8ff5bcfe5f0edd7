#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "syscalls/memory.h"
#include "tracer/unwind/java_objects.h"
#include "tracer/unwind/java_tables.h"

namespace stucktrace::unwind {

// A thread as the virtual machine knows it. Addresses are 0 where there is nothing.
struct JavaThread {
  std::uint64_t address = 0;
  std::int32_t number = 0;                          // tid as its own pid namespace counts
  std::uint64_t stack_base = 0, stack_size = 0;     // the stack ends below its base
  bool blocked = false;                             // says of itself that it waits
  std::uint64_t wanted_monitor = 0;                 // it is about to enter
  std::int64_t monitor_id = 0;                      // what monitors call it (JDK 24 and later)
  std::uint64_t thread_slot = 0, virtual_slot = 0;  // where its java.lang.Thread objects are named

  bool on_stack(std::uint64_t at) const { return at < stack_base && stack_base - at <= stack_size; }
};

// The list of a virtual machine's threads, and what its monitors say of them.
class JavaThreads {
 public:
  // nullopt: the list is not known or was changing.
  static std::optional<JavaThreads> read(const syscalls::RemoteMemory& memory,
                                         const JavaTables& tables);

  const std::vector<JavaThread>& all() const { return threads_; }
  // Who is inside a monitor; nullptr: nobody, or nobody on this list, or it cannot be told. A
  // monitor that was made of a lock without one when somebody else came to want it does not name
  // its owner but his stack, or nothing: then it is who keeps the object among those he locked.
  // `objects` may be null where those cannot be read.
  const JavaThread* inside(std::uint64_t monitor, const JavaObjects* objects) const;
  // Who runs as this java.lang.Thread object.
  const JavaThread* runs(std::uint64_t thread_object, const JavaObjects& objects) const;

 private:
  JavaThreads(const syscalls::RemoteMemory& memory, const JavaTables& tables)
      : memory_(memory), tables_(tables) {}
  bool list();
  std::vector<std::uint64_t> addresses() const;
  const JavaThread* of_stack(std::uint64_t at) const;
  const JavaThread* by_locked_object(std::uint64_t monitor, const JavaObjects& objects) const;

  const syscalls::RemoteMemory& memory_;
  const JavaTables& tables_;
  std::vector<JavaThread> threads_;
};

}  // namespace stucktrace::unwind
