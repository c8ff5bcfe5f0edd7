#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tracer/model/event.h"

namespace stucktrace::test {

// Bytes at an address of the imagined tracee.
using Memory = std::vector<std::pair<std::uint64_t, std::string>>;

// Writes event streams by hand: each entry says when (milliseconds after the start), and events()
// gives them in the order of time, entries of equal time in the order written.
class EventScript {
 public:
  static constexpr base::Instant kStart{std::chrono::seconds{1000}};
  static base::Instant at_ms(double ms);

  EventScript& add(double ms, int pid, int tid, model::EventData data);
  EventScript& seen(double ms, int pid, int tid, model::TaskSeen seen);
  EventScript& made(double ms, int pid, int tid, int child, model::NewTaskKind kind,
                    bool shares_fds = false);
  EventScript& enter(double ms, int pid, int tid, std::string_view call,
                     std::initializer_list<std::uint64_t> args, const Memory& memory = {});
  // A negative result is an error.
  EventScript& exit(double ms, int pid, int tid, std::string_view call,
                    std::initializer_list<std::uint64_t> args, std::int64_t result,
                    const Memory& memory = {}, std::vector<model::FdEntry> made_fds = {});
  // enter + exit.
  EventScript& call(double from_ms, double to_ms, int pid, int tid, std::string_view name,
                    std::initializer_list<std::uint64_t> args, std::int64_t result,
                    const Memory& memory = {}, std::vector<model::FdEntry> made_fds = {});

  // Of native frames with these functions, innermost first; their addresses are made of the names.
  EventScript& stack(double ms, int pid, int tid,
                     std::initializer_list<std::string_view> functions);

  std::vector<model::Event> events() const;

 private:
  std::vector<model::Event> events_;
};

syscalls::RawCall raw_call(std::string_view name, std::initializer_list<std::uint64_t> args);
model::FdEntry fd_entry(int fd, model::ResourceKind kind, std::uint64_t inode, model::FdMode mode,
                        std::string label = {}, bool close_on_exec = false);
// The bytes of a trivially copyable value, as they lie in memory.
template <class T>
std::string bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

}  // namespace stucktrace::test
