#pragma once

// The common part of the zoo's C++ programs: each holds several behaviours of one family, and its
// first argument names the one to show. Ground truth is in zoo.json.

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <ctime>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "target/target.h"

namespace zoo {

// More than any pipe or socket of the zoo takes before somebody reads.
inline constexpr std::size_t kTooMuch = 16 << 20;

struct Behaviour {
  const char* name;
  void (*show)();
};

inline int run(int argc, char** argv, std::initializer_list<Behaviour> behaviours) {
  for (const Behaviour& behaviour : behaviours) {
    if (argc != 2 || std::strcmp(argv[1], behaviour.name) != 0) continue;
    behaviour.show();
    return 0;
  }
  std::fprintf(stderr, "usage: %s", argv[0]);
  const char* before = " ";
  for (const Behaviour& behaviour : behaviours) {
    std::fprintf(stderr, "%s%s", before, behaviour.name);
    before = "|";
  }
  std::fputs("\n", stderr);
  return 2;
}

// Runs `body` in a child, which then exits.
inline pid_t child(const std::function<void()>& body) {
  const pid_t pid = ::fork();
  if (pid < 0) target::fail("fork");
  if (pid > 0) return pid;
  body();
  ::_exit(0);
}

inline void wait_for(pid_t pid) {
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

// Writes far more than fits. An error ends the writer, as SIGPIPE would.
inline void write_too_much(int fd) {
  const std::vector<char> data(kTooMuch, 'x');
  std::size_t done = 0;
  while (done < data.size()) {
    const ssize_t written = ::write(fd, data.data() + done, data.size() - done);
    if (written < 0) return;
    done += static_cast<std::size_t>(written);
  }
}

// Reads to the end of the file.
inline void read_all(int fd) {
  char buffer[4096];
  while (::read(fd, buffer, sizeof buffer) > 0) {
  }
}

inline void read_byte(int fd) {
  char byte = 0;
  if (::read(fd, &byte, 1) < 0) target::fail("read");
}

inline void write_byte(int fd) {
  target::write_all(fd, "x", 1);
}

// Zeroed memory that children share with their parent.
template <class T>
T& shared() {
  void* memory =
      ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) target::fail("mmap");
  return *static_cast<T*>(memory);
}

// A fresh directory below TMPDIR; whoever runs the zoo removes TMPDIR afterwards.
inline std::string fresh_directory() {
  const char* base = std::getenv("TMPDIR");
  std::string path = std::string(base != nullptr ? base : "/tmp") + "/zoo.XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) target::fail("mkdtemp");
  return path;
}

inline void nap(long milliseconds) {
  const timespec time = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1'000'000};
  ::clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr);
}

// Computes without a system call.
inline void compute_for_ever() {
  volatile bool ever = true;
  while (ever) {
  }
}

}  // namespace zoo
