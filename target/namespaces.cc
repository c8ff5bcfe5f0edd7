// usage: namespaces family | crash | signals | ends
//
// The first process of a pid namespace of its own; after go:
//   family   it has children, adopts orphans, and another thread of it execs
//   crash    it dies by a fault of its own, by abort(3), and with a handler that returns
//   signals  it gets signals from inside and outside for which it has no handler
//   ends     it ends or is killed while its children go on: they are ended with it
// Prints "not permitted" and ends where namespaces are.

#include <sched.h>
#include <sys/syscall.h>

#include <thread>

#include "target/target.h"

namespace {

// A child that is process 1 of a new namespace.
template <class Body>
pid_t first_process(const Body& body) {
  const auto made = [](unsigned long flags) {
    return static_cast<pid_t>(::syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, 0L));
  };
  pid_t child = made(CLONE_NEWPID);
  if (child < 0) child = made(CLONE_NEWPID | CLONE_NEWUSER);
  if (child < 0) {
    target::say("not permitted");
    std::exit(0);
  }
  if (child == 0) std::_Exit(body());
  return child;
}

// exec by way of a path that was read in time: /proc shows the outer namespace.
char own_path[4096];

int after(int, char**) {
  target::say("after exec: pid %d leader %d", ::getpid(), ::syscall(SYS_gettid) == ::getpid());
  return 15;
}

int family(int, char**) {
  target::start();
  const pid_t first = first_process([] {
    target::say("pid %d parent %d", ::getpid(), ::getppid());
    const pid_t child = target::in_child([] {
      const pid_t orphan = target::in_child([] {
        while (::getppid() != 1) ::sched_yield();
        return 3;
      });
      target::say("child %d orphan %d", ::getpid(), orphan);
      return 4;
    });
    target::say_status("child", target::wait_for(child));
    target::say_status("orphan", target::wait_for(-1));
    std::thread([] { ::execl(own_path, "namespaces", "after", nullptr); }).join();
    return 1;
  });
  target::say_status("first", target::wait_for(first));
  return 0;
}

int crash(int, char**) {
  target::start();
  const auto fault = [] { *const_cast<volatile int*>(static_cast<int*>(nullptr)) = 1; };
  target::say_status("fault", target::wait_for(first_process([fault] {
                       fault();
                       return 0;
                     })));
  target::say_status("abort", target::wait_for(first_process([] {
                       std::abort();
                       return 0;
                     })));
  target::say_status("thread", target::wait_for(first_process([fault] {
                       std::thread(fault).join();
                       return 0;
                     })));
  target::say_status("ignored", target::wait_for(first_process([fault] {
                       ::signal(SIGSEGV, SIG_IGN);
                       fault();
                       return 0;
                     })));
  target::say_status("handled", target::wait_for(first_process([fault] {
                       ::signal(SIGSEGV, [](int) { ::_exit(16); });
                       fault();
                       return 0;
                     })));
  return 0;
}

int signals(int, char**) {
  target::start();
  const target::PipeEnds alive = target::make_pipe();
  const target::PipeEnds end = target::make_pipe();
  const pid_t first = first_process([&] {
    for (const int number : {SIGTERM, SIGKILL, SIGSTOP, SIGTSTP, SIGUSR1}) {
      ::kill(1, number);
      target::say_status("signalled by its child", target::wait_for(target::in_child([number] {
                           ::kill(1, number);
                           return 0;
                         })));
    }
    target::write_all(alive.write_end, "a", 1);
    char byte = 0;
    while (::read(end.read_end, &byte, 1) < 0) {
    }
    target::say("lives on");
    return 17;
  });
  char byte = 0;
  if (::read(alive.read_end, &byte, 1) != 1) target::fail("read");
  ::kill(first, SIGTERM);  // not from inside, but not forced either
  ::kill(first, SIGSTOP);  // this one is
  target::say_status("first", target::wait_for(first, WUNTRACED));
  ::kill(first, SIGCONT);
  target::write_all(end.write_end, "e", 1);
  target::say_status("first", target::wait_for(first));
  return 0;
}

int ends(int, char**) {
  target::start();
  for (const bool killed : {false, true}) {
    const target::PipeEnds life = target::make_pipe();
    const target::PipeEnds begun = target::make_pipe();
    const pid_t first = first_process([&] {
      for (int i = 0; i < 10; ++i) {
        target::in_child([&] {
          target::write_all(begun.write_end, "b", 1);
          for (;;) {
          }
          return 0;
        });
      }
      char byte = 0;
      for (int i = 0; i < 10; ++i) {
        if (::read(begun.read_end, &byte, 1) != 1) target::fail("read");
      }
      target::write_all(life.write_end, "l", 1);
      while (killed) ::sched_yield();
      return 18;
    });
    ::close(life.write_end);
    char byte = 0;
    if (::read(life.read_end, &byte, 1) != 1) target::fail("read");
    if (killed) ::kill(first, SIGKILL);
    target::say_status("first", target::wait_for(first));
    // The end of file comes when all who hold the other end are gone.
    target::say("then %zd", ::read(life.read_end, &byte, 1));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (::readlink("/proc/self/exe", own_path, sizeof own_path - 1) < 0) target::fail("readlink");
  return target::run_subject({{"after", after},
                              {"family", family},
                              {"crash", crash},
                              {"signals", signals},
                              {"ends", ends}},
                             argc, argv);
}
