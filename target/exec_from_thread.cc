// usage: exec_from_thread [PROGRAM [ARGUMENT...]]
//
// After go a thread that is not the leader execs PROGRAM (default: this program again, which then
// says who it is and ends). The kernel ends all other threads, and the caller takes over the
// leader's tid. Prints "exec pid P tid T" before and "after pid P tid P" after.

#include <sys/syscall.h>

#include <thread>

#include "target/target.h"

namespace {

int own_tid() {
  return static_cast<int>(::syscall(SYS_gettid));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--after") == 0) {
    target::say("after pid %d tid %d", ::getpid(), own_tid());
    return 0;
  }
  std::thread bystander([] {
    for (;;) ::pause();
  });
  target::announce_ready();
  target::wait_for_go();
  std::thread caller([argc, argv] {
    target::say("exec pid %d tid %d", ::getpid(), own_tid());
    if (argc > 1) {
      ::execv(argv[1], argv + 1);
    } else {
      ::execl("/proc/self/exe", argv[0], "--after", nullptr);
    }
    target::fail("exec");
  });
  caller.join();
  bystander.join();
}
