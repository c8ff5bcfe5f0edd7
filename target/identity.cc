// usage: identity setuid | drop | personality | core DIRECTORY | limits
//
// Who and what a program is, in ways the kernel treats traced programs differently; after go:
//   setuid       a copy of this program that belongs to somebody else and is set-uid runs
//   drop         privileges and dumpability are given up; forks, threads and execs go on
//   personality  personalities are set, inherited and kept through exec
//   core         children crash with core dumps allowed, in DIRECTORY
//   limits       resource limits and usage, and the parent-death signal
// "not root" where only root can tell.

#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <string>
#include <thread>

#include "target/target.h"

namespace {

constexpr uid_t kNobody = 65534;

char own_path[4096];

pid_t exec_self(const char* path, const char* subject) {
  return target::in_child([path, subject] {
    ::execl(path, "identity", subject, nullptr);
    return 1;
  });
}

int after_setuid(int, char**) {
  uid_t real = 0;
  uid_t effective = 0;
  uid_t saved = 0;
  ::getresuid(&real, &effective, &saved);
  target::say("uids real %u effective %u saved %u secure %d dumpable %d", real, effective, saved,
              ::secure_getenv("PATH") == nullptr, ::prctl(PR_GET_DUMPABLE));
  return 0;
}

int setuid_program(int, char**) {
  target::start();
  if (::getuid() != 0) {
    target::say("not root");
    return 0;
  }
  char directory[] = "/tmp/identity_XXXXXX";
  if (::mkdtemp(directory) == nullptr || ::chmod(directory, 0755) != 0) target::fail("mkdtemp");
  const std::string copy = std::string(directory) + "/copy";
  const int from = ::open(own_path, O_RDONLY | O_CLOEXEC);
  const int to = ::open(copy.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
  while (::sendfile(to, from, nullptr, 1U << 30U) > 0) {
  }
  if (::fchown(to, kNobody, kNobody) != 0 || ::fchmod(to, 04755) != 0) target::fail("fchmod");
  ::close(to);
  target::say_status("set-uid", target::wait_for(exec_self(copy.c_str(), "after_setuid")));
  ::unlink(copy.c_str());
  ::rmdir(directory);
  return 0;
}

int drop(int, char**) {
  target::start();
  if (::getuid() != 0) {
    target::say("not root");
    return 0;
  }
  const pid_t child = target::in_child([] {
    if (::setresgid(kNobody, kNobody, kNobody) != 0) return 1;
    if (::setresuid(kNobody, kNobody, kNobody) != 0) return 1;
    target::say("uid %u dumpable %d", ::getuid(), ::prctl(PR_GET_DUMPABLE));
    ::prctl(PR_SET_DUMPABLE, 0);
    std::thread([] { target::say("a thread runs"); }).join();
    target::say_status("its child", target::wait_for(target::in_child([] { return 2; })));
    const int denied = ::kill(::getppid(), 0);
    target::say("kill %d errno %d", denied, errno);
    const pid_t other = ::vfork();  // NOLINT(bugprone-unsafe-functions): the subject
    if (other == 0) {
      ::execl("/bin/true", "true", nullptr);
      ::_exit(127);
    }
    target::say_status("exec", target::wait_for(other));
    return 3;
  });
  target::say_status("child", target::wait_for(child));
  return 0;
}

int after_personality(int, char**) {
  utsname names = {};
  ::uname(&names);
  target::say("personality %#x machine %s", static_cast<unsigned>(::personality(0xffffffff)),
              names.machine);
  return 0;
}

int set_personality(int, char**) {
  target::start();
  for (const unsigned long persona :
       {static_cast<unsigned long>(ADDR_NO_RANDOMIZE), static_cast<unsigned long>(PER_LINUX32),
        static_cast<unsigned long>(READ_IMPLIES_EXEC | ADDR_COMPAT_LAYOUT)}) {
    const pid_t child = target::in_child([persona] {
      target::say("before %d", ::personality(persona) >= 0);
      std::thread([] { after_personality(0, nullptr); }).join();
      target::say_status("exec", target::wait_for(exec_self(own_path, "after_personality")));
      return 0;
    });
    target::say_status("child", target::wait_for(child));
  }
  return 0;
}

int core(int argc, char** argv) {
  if (argc < 2 || ::chdir(argv[1]) != 0) target::fail("directory");
  target::start();
  rlimit limit = {};
  ::getrlimit(RLIMIT_CORE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_CORE, &limit);
  const auto die = [](int way) {
    if (way == 0) std::abort();
    if (way == 1) *const_cast<volatile int*>(static_cast<int*>(nullptr)) = 1;
    ::raise(SIGQUIT);
  };
  for (int way = 0; way < 4; ++way) {
    const pid_t child = target::in_child([&] {
      for (int i = 0; i < 4; ++i) {
        std::thread([] {
          for (;;) ::pause();
        }).detach();
      }
      if (way == 3) std::thread([&] { die(1); }).join();
      die(way);
      return 0;
    });
    target::say_status("child", target::wait_for(child));
    struct stat file = {};
    bool found = ::stat("core", &file) == 0;
    if (!found) found = ::stat(("core." + std::to_string(child)).c_str(), &file) == 0;
    target::say("core file %d with content %d", found, found && file.st_size > 0);
    ::unlink("core");
    ::unlink(("core." + std::to_string(child)).c_str());
  }
  return 0;
}

int limits(int, char**) {
  target::start();
  const pid_t busy = target::in_child([] {
    const rlimit one = {1, 2};
    ::setrlimit(RLIMIT_CPU, &one);
    for (;;) {
    }
    return 0;
  });
  int status = 0;
  rusage usage = {};
  if (::wait4(busy, &status, 0, &usage) != busy) target::fail("wait4");
  target::say_status("out of time", status);
  // The limit counts by clock ticks, which on a busy machine are not all its own.
  const long used = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000L +
                    usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
  target::say("used most of a second %d", used > 300000);
  const pid_t full = target::in_child([] {
    rlimit size = {};
    ::getrlimit(RLIMIT_FSIZE, &size);
    size.rlim_cur = 10;
    ::setrlimit(RLIMIT_FSIZE, &size);
    const int file = ::fileno(std::tmpfile());
    const ssize_t written = ::write(file, "0123456789abc", 13);
    if (::write(file, "0123456789abc", 13) >= 0) return 1;  // stdout may be a file: says nothing
    return written == 10 ? 2 : 3;
  });
  target::say_status("file too large", target::wait_for(full));
  const target::PipeEnds told = target::make_pipe();
  const pid_t between = target::in_child([&] {
    const target::PipeEnds ready = target::make_pipe();
    target::in_child([&] {
      ::prctl(PR_SET_PDEATHSIG, SIGUSR1);
      ::signal(SIGUSR1, [](int) {});
      sigset_t only;
      sigemptyset(&only);
      sigaddset(&only, SIGUSR1);
      ::sigprocmask(SIG_BLOCK, &only, nullptr);
      target::write_all(ready.write_end, "r", 1);
      siginfo_t info = {};
      ::sigwaitinfo(&only, &info);
      target::write_all(told.write_end, info.si_code == SI_USER ? "u" : "?", 1);
      return 0;
    });
    char byte = 0;
    return ::read(ready.read_end, &byte, 1) == 1 ? 5 : 6;
  });
  target::say_status("between", target::wait_for(between));
  char byte = 0;
  const ssize_t got = ::read(told.read_end, &byte, 1);
  target::say("its child was told %zd '%c'", got, byte);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (::readlink("/proc/self/exe", own_path, sizeof own_path - 1) < 0) target::fail("readlink");
  return target::run_subject({{"setuid", setuid_program},
                              {"after_setuid", after_setuid},
                              {"drop", drop},
                              {"personality", set_personality},
                              {"after_personality", after_personality},
                              {"core", core},
                              {"limits", limits}},
                             argc, argv);
}
