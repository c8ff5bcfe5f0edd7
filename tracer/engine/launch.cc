#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "tracer/engine/tracer.h"

namespace stucktrace::engine {
namespace {

// Between fork and exec only async-signal-safe calls are allowed: the tool has threads.
[[noreturn]] void become(const char* path, char* const* argv, char* const* shell_argv,
                         const Inherited& inherited, const itimerval& alarm, const sigset_t& mask,
                         int error_pipe, const kernel::FilterProgram& filter) {
  if (kernel::trace_me()) {
    ::raise(SIGSTOP);
    if (!filter.empty()) {
      // Without one the command runs all the same; a negative number says so.
      if (const int refused = kernel::install_filter(filter); refused != 0) {
        const int code = -refused;
        [[maybe_unused]] const ssize_t told = ::write(error_pipe, &code, sizeof code);
      }
    }
    pass_on(inherited, alarm, mask);
    ::execv(path, argv);
    // A script without an interpreter line is the shell's, as execvp(3) does it.
    if (errno == ENOEXEC) ::execv("/bin/sh", shell_argv);
  }
  const int code = errno;
  [[maybe_unused]] const ssize_t told = ::write(error_pipe, &code, sizeof code);
  constexpr int kCannotRun = 126;
  ::_exit(kCannotRun);
}

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> result;
  result.reserve(words.size() + 1);
  for (const std::string& word : words) result.push_back(const_cast<char*>(word.c_str()));
  result.push_back(nullptr);
  return result;
}

}  // namespace

base::Result<base::Pid> Tracer::launch(const Command& command) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    return base::system_error("making a pipe", base::Errno::last());
  }
  exec_error_.reset(ends[0]);
  const base::UniqueFd error_end(ends[1]);
  std::vector<std::string> shell_words{"sh", command.path};
  if (!command.argv.empty()) {
    shell_words.insert(shell_words.end(), command.argv.begin() + 1, command.argv.end());
  }
  const std::vector<char*> argv = pointers(command.argv);
  const std::vector<char*> shell_argv = pointers(shell_words);

  if (options_.filter) {
    auto built = kernel::build_filter(options_.filter->rules);
    if (!built) return base::Failure{built.error()};
    program_ = std::move(*built);
    filtered_ = true;
    emitter_.use_set(options_.filter->trace, true);
  }
  const itimerval alarm = take_alarm();
  const pid_t child = ::fork();
  if (child < 0) return base::system_error("starting a process", base::Errno::last());
  if (child == 0) {
    become(command.path.c_str(), argv.data(), shell_argv.data(), command.inherited, alarm,
           ticker_.original_mask(), error_end.get(), program_);
  }
  const base::Pid pid{child};
  const base::Tid tid = base::main_thread(pid);
  int raw = 0;
  while (::waitpid(child, &raw, __WALL) < 0 && errno == EINTR) {
  }
  if (!kernel::WaitStatus{raw}.stopped()) {
    int code = EPERM;
    if (::read(exec_error_.get(), &code, sizeof code) != sizeof code) code = EPERM;
    return base::system_error("tracing a process of our own (PTRACE_TRACEME)", base::Errno{code});
  }
  root_ = pid;
  kernel::Stopped stopped{tid};
  Tracee& tracee = table_.add(tid, pid, kernel::TraceStyle::kAttach, TraceeState::kBeforeExec);
  if (options_.style == kernel::TraceStyle::kSeize) {
    // PTRACE_TRACEME knows no PTRACE_LISTEN, so a command it launched could not be stopped by job
    // control. Hand over: it stays in a group-stop between the two, not one instruction runs.
    if (auto left = kernel::detach(std::move(stopped), SIGSTOP); !left) {
      return base::Failure{left.error()};
    }
    if (auto seized = kernel::seize(tid, tracee_options()); !seized) {
      static_cast<void>(kernel::send_signal(pid, SIGKILL));
      table_.remove(tid);
      return base::Failure{seized.error()};
    }
    tracee.style = kernel::TraceStyle::kSeize;
    while (::waitpid(child, &raw, __WALL) < 0 && errno == EINTR) {
    }
    stopped = kernel::Stopped{tid};
    // Ends the group-stop; the command has not been executed yet, so nobody can see this SIGCONT.
    static_cast<void>(kernel::send_signal(pid, SIGCONT));
  } else if (auto set = kernel::set_options(stopped, tracee_options()); !set) {
    return base::Failure{set.error()};
  }
  resume(tracee, std::move(stopped));
  return pid;
}

// At the first exec, when everything the child had to tell is in its pipe.
void Tracer::read_launch_report(const kernel::Stopped& stopped) {
  int code = 0;
  if (!filtered_ || ::read(exec_error_.get(), &code, sizeof code) != sizeof code || code >= 0)
    return;
  filtered_ = false;
  static_cast<void>(kernel::set_options(stopped, tracee_options()));
  emitter_.use_set(options_.trace, false);
  emitter_.emit(root_, base::main_thread(root_),
                model::Note{fmt::format("no filter could be installed ({}): every call stops",
                                        base::Errno{-code}.description())});
}

}  // namespace stucktrace::engine
