#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tracer/base/ids.h"
#include "tracer/base/unique_fd.h"

namespace stucktrace::unwind {

// Every interpreter of this machine: pyenv's, the system's (/usr/bin/python3, and python3.N where
// that is another), and those that STUCKTRACE_TEST_PYTHONS names (paths with colons between). One
// of them may be a script that ends in "exec chroot ...".
inline std::vector<std::string> interpreters_here() {
  std::vector<std::string> found;
  std::string versions;
  if (const char* root = ::getenv("PYENV_ROOT"); root != nullptr) {
    versions = std::string(root) + "/versions";
  } else if (const char* home = ::getenv("HOME"); home != nullptr) {
    versions = std::string(home) + "/.pyenv/versions";
  }
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(versions, error)) {
    const auto binary = entry.path() / "bin" / "python";
    if (std::filesystem::exists(binary, error)) found.push_back(binary.string());
  }
  if (std::filesystem::exists("/usr/bin/python3", error)) found.emplace_back("/usr/bin/python3");
  const auto usual = std::filesystem::canonical("/usr/bin/python3", error);
  for (int minor = 6; minor < 30; ++minor) {
    const std::filesystem::path binary = fmt::format("/usr/bin/python3.{}", minor);
    if (std::filesystem::exists(binary, error) && binary != usual) found.push_back(binary);
  }
  if (const char* more = ::getenv("STUCKTRACE_TEST_PYTHONS"); more != nullptr) {
    std::istringstream paths(more);
    for (std::string path; std::getline(paths, path, ':');) {
      if (std::filesystem::exists(path, error)) found.push_back(path);
    }
  }
  std::ranges::sort(found);
  return found;
}

// A script under one interpreter, in a process group of its own that ends with this object. Its
// standard input stays open, and gives nothing, until then.
class RunningScript {
 public:
  RunningScript(const std::string& interpreter, const std::string& script,
                const std::vector<std::pair<std::string, std::string>>& environment = {}) {
    std::array<int, 2> input{}, output{};
    if (::pipe2(input.data(), O_CLOEXEC) != 0) return;
    input_ = base::UniqueFd{input[1]};
    const base::UniqueFd child_input{input[0]};
    if (::pipe2(output.data(), O_CLOEXEC) != 0) return;
    output_ = base::UniqueFd{output[0]};
    const base::UniqueFd child_output{output[1]};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, child_input.get(), 0);
    posix_spawn_file_actions_adddup2(&actions, child_output.get(), 1);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&attributes, 0);
    std::vector<std::string> words;
    for (char** word = environ; *word != nullptr; ++word) words.emplace_back(*word);
    for (const auto& [name, value] : environment)
      words.push_back(fmt::format("{}={}", name, value));
    std::vector<char*> variables;
    for (std::string& word : words) variables.push_back(word.data());
    variables.push_back(nullptr);
    std::string program = interpreter, path = script;
    std::array<char*, 3> arguments = {program.data(), path.data(), nullptr};
    pid_t pid = 0;
    if (::posix_spawn(&pid, program.c_str(), &actions, &attributes, arguments.data(),
                      variables.data()) == 0) {
      pid_ = pid;
    }
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  RunningScript(const RunningScript&) = delete;
  RunningScript& operator=(const RunningScript&) = delete;
  ~RunningScript() {
    if (pid_ <= 0) return;
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  base::Pid pid() const { return base::Pid{pid_}; }

  // The lines up to "ready"; empty where the script ends or 30 s pass before that.
  std::vector<std::string> lines() {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    std::string text;
    while (!text.ends_with("ready\n")) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          until - std::chrono::steady_clock::now());
      pollfd event{output_.get(), POLLIN, 0};
      if (left.count() <= 0 || ::poll(&event, 1, static_cast<int>(left.count())) <= 0) return {};
      std::array<char, 65536> buffer;
      const ssize_t got = ::read(output_.get(), buffer.data(), buffer.size());
      if (got <= 0) return {};
      text.append(buffer.data(), static_cast<std::size_t>(got));
    }
    std::vector<std::string> result;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = text.find('\n', at);
      result.push_back(text.substr(at, end - at));
      at = end + 1;
    }
    return result;
  }

 private:
  pid_t pid_ = 0;
  base::UniqueFd input_, output_;
};

// Looks again and again, for at most 20 s, until `condition` holds.
template <class Condition>
bool holds_eventually(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    ::sched_yield();
  }
  return true;
}

}  // namespace stucktrace::unwind
