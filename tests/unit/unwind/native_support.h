#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/base/unique_fd.h"
#include "tracer/unwind/stacks.h"

// For tests that look at their own program: the sanitizer's interceptors stand between its frames
// and the system call, and cannot be unwound without registers.
#if defined(__SANITIZE_ADDRESS__)
#define STUCKTRACE_NEEDS_PLAIN_FRAMES() \
  GTEST_SKIP() << "the address sanitizer's interceptors stand between the frames"
#else
#define STUCKTRACE_NEEDS_PLAIN_FRAMES() static_cast<void>(0)
#endif

namespace stucktrace::unwind::testing {

inline std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

template <class Condition>
bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    ::sched_yield();
  }
  return true;
}

// The thread sleeps in this system call.
inline bool blocks_in(pid_t pid, pid_t tid, long number) {
  const std::string task = "/proc/" + std::to_string(pid) + "/task/" + std::to_string(tid);
  return eventually(
      [&] { return slurp(task + "/syscall").starts_with(std::to_string(number) + " "); });
}

inline std::vector<pid_t> tasks(pid_t pid) {
  std::vector<pid_t> result;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
    result.push_back(std::stoi(entry.path().filename().string()));
  }
  std::ranges::sort(result);
  return result;
}

struct Pipe {
  base::UniqueFd read, write;
  Pipe() {
    int ends[2];
    if (::pipe(ends) != 0) std::abort();
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
};

// A child process of the test; killed and reaped at the end of the scope, and with the test.
class Child {
 public:
  // Runs `body` in a fork.
  template <class Body>
  static Child fork_with(Body body) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      body();
      ::_exit(0);
    }
    return Child(pid);
  }
  // Starts a program with a pipe as standard input that never has data, and waits for its first
  // byte of output.
  static Child start(const std::vector<std::string>& command) {
    auto idle = std::make_unique<Pipe>();
    Pipe out;
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::dup2(idle->read.get(), 0);
      ::dup2(out.write.get(), 1);
      std::vector<char*> arguments;
      for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
      arguments.push_back(nullptr);
      ::execvp(arguments[0], arguments.data());
      ::_exit(127);
    }
    Child child(pid);
    out.write.reset();
    char byte = 0;
    child.ready_ = ::read(out.read.get(), &byte, 1) == 1;
    child.idle_ = std::move(idle);
    child.out_ = std::move(out.read);
    return child;
  }

  Child(Child&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)),
        ready_(other.ready_),
        idle_(std::move(other.idle_)),
        out_(std::move(other.out_)) {}
  Child& operator=(Child&&) = delete;
  ~Child() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }

  pid_t pid() const { return pid_; }
  bool ready() const { return ready_; }
  // Waits for its end by itself.
  void reap() { ::waitpid(std::exchange(pid_, -1), nullptr, 0); }

 private:
  explicit Child(pid_t pid) : pid_(pid) {}
  pid_t pid_;
  bool ready_ = true;
  std::unique_ptr<Pipe> idle_;
  base::UniqueFd out_;
};

class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "stucktrace-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
    std::filesystem::permissions(path_, std::filesystem::perms(0755));
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Output of a shell command; nullopt when it failed.
inline std::optional<std::string> shell(const std::string& command) {
  FILE* out = ::popen((command + " 2>&1").c_str(), "r");
  if (out == nullptr) return std::nullopt;
  std::string text;
  std::array<char, 4096> buffer;
  while (const std::size_t got = ::fread(buffer.data(), 1, buffer.size(), out)) {
    text.append(buffer.data(), got);
  }
  return ::pclose(out) == 0 ? std::optional(text) : std::nullopt;
}

// Compiles C++ source to `path`; false where the machine's toolchain cannot.
inline bool compile(const std::string& source, const std::string& path, const std::string& flags) {
  std::ofstream(path + ".cc") << source;
  return shell("c++ -o " + path + " " + path + ".cc " + flags).has_value();
}

inline StackResult stack_of(pid_t pid, pid_t tid) {
  NativeStacks stacks{base::Pid{pid}};
  return stacks.stack(base::Tid{tid});
}

inline std::vector<std::string> functions(const StackResult& stack) {
  std::vector<std::string> result;
  for (const auto& frame : stack.frames) result.push_back(frame.function);
  return result;
}

inline std::string describe(const StackResult& stack) {
  std::ostringstream text;
  for (const auto& frame : stack.frames) {
    text << "  " << std::hex << frame.pc << std::dec << " " << frame.function << " " << frame.module
         << " " << frame.file << ":" << frame.line << "\n";
  }
  text << "  note: " << stack.note << "\n";
  return text.str();
}

// Whether `wanted` occurs in this order, with nothing between its members.
inline bool has_run(const StackResult& stack, const std::vector<std::string>& wanted) {
  const auto names = functions(stack);
  return std::search(names.begin(), names.end(), wanted.begin(), wanted.end()) != names.end();
}

}  // namespace stucktrace::unwind::testing
