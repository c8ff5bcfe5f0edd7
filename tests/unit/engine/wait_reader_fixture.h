#pragma once

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <array>
#include <cstring>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "syscalls/memory.h"
#include "tests/support/fake_proc.h"
#include "tracer/engine/wait_reader.h"

namespace stucktrace::engine {

class FixedClock final : public base::Clock {
 public:
  base::Instant now() const override { return {std::chrono::seconds{1000}}; }
  base::Nanoseconds wall() const override { return std::chrono::seconds{5000}; }
};

// One blocked thread (pid 42, tid 42) over a made-up /proc and made-up memory.
class WaitReaderTest : public testing::Test {
 protected:
  WaitReaderTest() {
    proc_.add({.pid = 42, .tid = 42});
    process_.pid = base::Pid{42};
    process_.address_space = 42;
    process_.process_group = 42;
    process_.ns_pids = {42};
    process_.live_threads = {base::Tid{42}, base::Tid{43}};
    process_.fds = &fds_;
    thread_.pulse.state = 'S';
    probes_.same_memory = [this](base::Tid a, base::Tid b) -> base::Result<bool> {
      return same_memory_.contains({a.value(), b.value()});
    };
    probes_.same_open_file = [this](base::Tid a, int fd_a, base::Tid b,
                                    int fd_b) -> base::Result<bool> {
      return same_file_ == std::array{a.value(), fd_a, b.value(), fd_b};
    };
    probes_.same_fd_table = [](base::Tid, base::Tid) -> base::Result<bool> { return true; };
    probes_.who_is_shown = [](const kernel::Procfs&) { return Shown::kEverybody; };
    probes_.socket_limits = [this](base::Pid, base::Tid, int, const model::ResourceId&) {
      return socket_limits_;
    };
  }

  // The wait of the thread blocked in this call.
  model::Wait read(long number, std::array<std::uint64_t, 6> args = {}) {
    model::SyscallLine line;
    line.call.number = number;
    line.call.args = args;
    thread_.pulse.line = line;
    return read();
  }
  model::Wait read() {
    HolderScan scan{procfs_, probes_};
    ProcessCache cache{procfs_};
    const Surroundings around{procfs_, clock_, probes_,   scan,
                              notes_,  cache,  &sockets_, base::Pid{900}};
    return read_wait(around, process_, base::Tid{42}, thread_, memory_);
  }

  template <class T>
  void remember(std::uint64_t address, const T& value) {
    memory_.add(base::RemoteAddr{address}, std::as_bytes(std::span{&value, 1}));
  }
  void remember_text(std::uint64_t address, const std::string& text) {
    memory_.add(base::RemoteAddr{address}, std::as_bytes(std::span{text.c_str(), text.size() + 1}));
  }
  // Descriptors must be added in ascending order.
  void has_fd(int fd, model::ResourceKind kind, std::uint64_t inode,
              model::FdMode mode = model::FdMode::kBoth) {
    fds_.push_back({fd, {kind, 0, inode, 0}, mode, false, false, "fd" + std::to_string(fd)});
  }
  void has_fdinfo(int fd, const std::string& text) {
    proc_.write("42/task/42/fdinfo/" + std::to_string(fd), text);
  }

  test::FakeProc proc_;
  kernel::Procfs procfs_{proc_.root()};
  FixedClock clock_;
  KernelProbes probes_;
  std::set<std::pair<int, int>> same_memory_;
  std::array<int, 4> same_file_{};
  kernel::SocketLimits socket_limits_;
  ResourceNotes notes_;
  kernel::SocketTable sockets_;
  ProcessView process_;
  std::vector<model::FdEntry> fds_;
  ThreadSample thread_;
  syscalls::CapturedMemory memory_;
};

// Everything of type T that is waited on.
template <class T>
std::vector<T> all_on(const model::Wait& wait) {
  std::vector<T> found;
  for (const model::WaitOn& on : wait.on) {
    if (const T* one = std::get_if<T>(&on)) found.push_back(*one);
  }
  return found;
}

}  // namespace stucktrace::engine
