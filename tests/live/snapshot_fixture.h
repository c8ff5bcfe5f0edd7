#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "tests/live/tracee_fixture.h"
#include "tracer/base/unique_fd.h"
#include "tracer/engine/snapshotter.h"

namespace stucktrace::test {

// A process that runs `body` and blocks in it; killed with its whole group at the end of the scope.
class Blocked {
 public:
  explicit Blocked(const std::function<void()>& body) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::setpgid(0, 0);
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      body();
      ::_exit(0);
    }
    ::setpgid(pid, pid);
    pid_ = base::Pid{pid};
  }
  ~Blocked() {
    ::kill(-pid_.value(), SIGCONT);
    ::kill(-pid_.value(), SIGKILL);
    ::waitpid(pid_.value(), nullptr, 0);
  }
  Blocked(const Blocked&) = delete;
  Blocked& operator=(const Blocked&) = delete;
  base::Pid pid() const { return pid_; }

 private:
  base::Pid pid_;
};

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) == 0) {
      read.reset(ends[0]);
      write.reset(ends[1]);
    }
  }
  base::UniqueFd read;
  base::UniqueFd write;
};

class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "stucktrace-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

class SnapshotTest : public testing::Test {
 protected:
  std::shared_ptr<model::Snapshot> take(base::Pid pid) {
    engine::SnapshotOptions options;
    options.roots = {pid};
    options.native_stacks = false;
    options.python_stacks = false;
    auto snapshot = snapshotter_.take(options);
    return snapshot ? *snapshot : nullptr;
  }

  using Condition = std::function<bool(const model::Snapshot&, const model::Process&)>;
  // Snapshots until the process satisfies the condition; the last one in any case. Null: gone.
  std::shared_ptr<model::Snapshot> take_when(base::Pid pid, const Condition& condition) {
    std::shared_ptr<model::Snapshot> last;
    eventually([&] {
      last = take(pid);
      const model::Process* process = last ? last->find(pid) : nullptr;
      return process != nullptr && condition(*last, *process);
    });
    return last;
  }
  // ... until some thread of the process waits in that way.
  std::shared_ptr<model::Snapshot> take_waiting(base::Pid pid, model::WaitKind kind) {
    return take_when(pid, [kind](const model::Snapshot&, const model::Process& process) {
      return find_waiting(process, kind) != nullptr;
    });
  }

  static const model::Thread* find_waiting(const model::Process& process, model::WaitKind kind) {
    for (const model::Thread& thread : process.threads) {
      if (thread.wait.kind == kind) return &thread;
    }
    return nullptr;
  }

  // The thread of `pid` that waits in that way; nullptr with a failure otherwise.
  static const model::Thread* waiting(const std::shared_ptr<model::Snapshot>& snapshot,
                                      base::Pid pid, model::WaitKind kind) {
    const model::Process* process = snapshot ? snapshot->find(pid) : nullptr;
    const model::Thread* thread = process != nullptr ? find_waiting(*process, kind) : nullptr;
    if (thread == nullptr) {
      ADD_FAILURE() << "process " << pid.value() << " does not wait as " << model::to_string(kind);
      if (process != nullptr && !process->threads.empty()) {
        const auto& main = process->threads.front();
        ADD_FAILURE() << "but as " << model::to_string(main.wait.kind) << ", state " << main.state
                      << ", " << main.call_text << ", " << main.wchan;
      }
    }
    return thread;
  }

  // The first thing waited on, if it is a T.
  template <class T>
  static const T* first_on(const model::Thread* thread) {
    if (thread == nullptr) return nullptr;
    for (const model::WaitOn& on : thread->wait.on) {
      if (const T* found = std::get_if<T>(&on)) return found;
    }
    ADD_FAILURE() << "waits on nothing of that type";
    return nullptr;
  }

  static const model::Resource* resource(const std::shared_ptr<model::Snapshot>& snapshot,
                                         const model::ResourceId& id) {
    const auto at = snapshot->resources.find(id);
    if (at == snapshot->resources.end()) {
      ADD_FAILURE() << "no resource " << model::to_string(id);
      return nullptr;
    }
    return &at->second;
  }

  static bool holds(const model::Resource& resource, base::Pid pid, model::FdMode mode) {
    for (const model::Holder& holder : resource.holders) {
      if (holder.pid == pid && holder.mode == mode) return true;
    }
    return false;
  }

  static base::Pid self() { return base::Pid{::getpid()}; }

  engine::Snapshotter snapshotter_;
};

}  // namespace stucktrace::test
