#pragma once

// What the target programs share. They are the patients, so they must not lean on the tool they are
// used to test: nothing of tracer/ or syscalls/ is included here, only libc and the C++ library.

#include <fcntl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace target {

struct PipeEnds {
  int read_end = -1;
  int write_end = -1;
};

// Ends the program with status 1 and errno's text. For set-up steps only.
[[noreturn]] inline void fail(const char* what) {
  std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
  std::_Exit(1);
}

// Writes everything or fails; a short write on a pipe is ordinary.
inline void write_all(int fd, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t written = ::write(fd, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("write");
    data += written;
    size -= static_cast<std::size_t>(written);
  }
}

// One line to stdout as a single write, so that it leaves the process at once even when stdout is a
// pipe, and is never torn between threads.
[[gnu::format(printf, 1, 2)]] inline void say(const char* format, ...) {
  char line[512];
  std::va_list arguments;  // NOLINT(cppcoreguidelines-init-variables): by va_start
  va_start(arguments, format);
  const int length = std::vsnprintf(line, sizeof line - 1, format, arguments);
  va_end(arguments);
  if (length < 0) fail("say");
  std::size_t size = static_cast<std::size_t>(length);
  if (size > sizeof line - 2) size = sizeof line - 2;
  line[size++] = '\n';
  write_all(STDOUT_FILENO, line, size);
}

// Tells the test that everything it may look at is in place.
inline void announce_ready() {
  write_all(STDOUT_FILENO, "ready\n", 6);
}

// Waits for one byte or the end of stdin, whichever comes first.
inline void wait_for_go() {
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) < 0 && errno == EINTR) {
  }
}

// Waits until stdin ends; what arrives before is ignored.
inline void wait_for_stdin_end() {
  char bytes[256];
  for (;;) {
    const ssize_t got = ::read(STDIN_FILENO, bytes, sizeof bytes);
    if (got == 0 || (got < 0 && errno != EINTR)) return;
  }
}

inline PipeEnds make_pipe() {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) fail("pipe2");
  return {.read_end = ends[0], .write_end = ends[1]};
}

// argv[index] as a number in [0, limit], or `fallback` when it is not given. Anything else is bad
// usage: status 2.
inline double number_argument(int argc, char** argv, int index, double fallback, double limit) {
  if (index >= argc) return fallback;
  char* end = nullptr;
  const double value = std::strtod(argv[index], &end);
  if (end == argv[index] || *end != '\0' || !(value >= 0 && value <= limit)) {
    std::fprintf(stderr, "%s: not a number from 0 to %g: %s\n", argv[0], limit, argv[index]);
    std::_Exit(2);
  }
  return value;
}

// argv[1] is `hang` (also when absent) or `healthy`.
inline bool healthy_argument(int argc, char** argv) {
  if (argc < 2 || std::strcmp(argv[1], "hang") == 0) return false;
  if (std::strcmp(argv[1], "healthy") == 0) return true;
  std::fprintf(stderr, "usage: %s [hang|healthy [SECONDS]]\n", argv[0]);
  std::_Exit(2);
}

// A program with several subjects: argv[1] names the one to run, the rest are its own arguments.
struct Subject {
  const char* name;
  int (*run)(int argc, char** argv);  // argv[0] is the subject's name; the exit status
};

template <std::size_t kCount>
int run_subject(const Subject (&subjects)[kCount], int argc, char** argv) {
  for (const Subject& subject : subjects) {
    if (argc > 1 && std::strcmp(argv[1], subject.name) == 0) {
      return subject.run(argc - 1, argv + 1);
    }
  }
  std::fprintf(stderr, "usage: %s SUBJECT [ARGUMENT...]; subjects:", argv[0]);
  for (const Subject& subject : subjects) std::fprintf(stderr, " %s", subject.name);
  std::fprintf(stderr, "\n");
  return 2;
}

// Most subjects have nothing to set up before an attach.
inline void start() {
  announce_ready();
  wait_for_go();
}

// A child that runs `body` and ends with what it returns.
template <class Body>
pid_t in_child(const Body& body) {
  const pid_t child = ::fork();
  if (child < 0) fail("fork");
  if (child == 0) std::_Exit(body());
  return child;
}

// One line for a raw wait status, the same in every program.
inline void say_status(const char* who, int status) {
  if (WIFEXITED(status)) {
    say("%s exited %d", who, WEXITSTATUS(status));
  } else if (WIFSIGNALED(status)) {
    say("%s killed by %d%s", who, WTERMSIG(status), WCOREDUMP(status) ? " with core" : "");
  } else if (WIFSTOPPED(status)) {
    say("%s stopped by %d", who, WSTOPSIG(status));
  } else {
    say("%s status %#x", who, static_cast<unsigned>(status));
  }
}

// waitpid(2) that a signal handler does not end.
inline int wait_for(pid_t child, int flags = 0) {
  int status = 0;
  while (::waitpid(child, &status, flags) < 0) {
    if (errno != EINTR) fail("waitpid");
  }
  return status;
}

// After `seconds` SIGALRM runs `handler`; 0 means never, and that there is none. The interrupted
// call is restarted, so the program goes on only if the handler removed what it waits for.
inline void arm_watchdog(double seconds, void (*handler)(int)) {
  if (seconds <= 0) return;
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  if (::sigaction(SIGALRM, &action, nullptr) != 0) fail("sigaction");
  itimerval timer = {};
  timer.it_value.tv_sec = static_cast<time_t>(seconds);
  timer.it_value.tv_usec =
      static_cast<suseconds_t>((seconds - static_cast<double>(timer.it_value.tv_sec)) * 1e6);
  if (::setitimer(ITIMER_REAL, &timer, nullptr) != 0) fail("setitimer");
}

}  // namespace target
