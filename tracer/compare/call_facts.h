#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "syscalls/io.h"
#include "tracer/compare/normalise.h"
#include "tracer/model/timeline.h"

namespace stucktrace::compare {

// What single calls mean, for deeds and steps alike. Pure: who the numbers are is for the caller.

// The call that an entry begins.
model::Call begun_call(const model::Event& event, const model::SyscallEnter& enter);

// The descriptors a call reads from and writes to; none if it moves no data.
std::vector<syscalls::PolledFd> moved_fds(const model::Call& call);
// The descriptor a call writes to.
std::optional<int> written_fd(const model::Call& call);

// `removes "x"`, `renames "x" to "y"`; nullopt for what changes no name, or one of the runtime's.
std::optional<std::string> path_change(const model::Call& call, const Normaliser& normalise);
// `opens "x" for writing (creates)`; nullopt for what only reads, or is of the runtime.
std::optional<std::string> writing_open(const model::Call& call, const Normaliser& normalise);
// address_text() of what a connect(2) is for; empty for services of the C library.
std::string connect_address(const model::Call& call, const Normaliser& normalise);
// The path that a mknod(2) made a named pipe at, the one that an unlink(2) took away.
std::optional<std::string> made_fifo(const model::Call& call);
std::optional<std::string> removed_path(const model::Call& call);

// Whose end a wait4(2) or waitid(2) is for; nullopt for any child or a group of them.
struct AwaitedChild {
  std::int32_t number = 0;  // pid or pidfd
  bool is_pidfd = false;
  bool polls = false;  // WNOHANG
};
std::optional<AwaitedChild> awaited_child(const model::Call& call);
// The child whose end a wait4(2) or waitid(2) that came back took notice of.
std::optional<std::int32_t> reaped_child(const model::Call& call);

// A signal that a call sends; nullopt for trials (signal 0) and timing noise.
struct SentSignal {
  enum class To : std::uint8_t { kProcess, kThread, kPidFd, kOwnGroup, kGroup, kEverybody };
  int signo = 0;
  To to = To::kProcess;
  std::int32_t number = 0;  // pid, tid, pidfd or process group
};
std::optional<SentSignal> sent_signal(const model::Call& call);
// Signals that come at any time in any number: of children, clocks, terminals, and the runtimes'
// own between threads.
bool is_timing_noise(int signo);

// flock(2) or a lock of fcntl(2), not its release and not another request.
bool takes_a_lock(const model::Call& call);

// An argument the kernel takes as int.
inline int as_int(std::uint64_t argument) {
  return static_cast<int>(static_cast<std::uint32_t>(argument));
}

}  // namespace stucktrace::compare
