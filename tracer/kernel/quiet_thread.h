#pragma once

#include <pthread.h>

#include <csignal>
#include <thread>
#include <utility>

namespace stucktrace::kernel {

// A thread that takes no signals: those for the tool are the tracer's business (a thread inherits
// the mask of its maker, pthread_create(3)).
template <class Thread = std::jthread, class Body>
Thread quiet_thread(Body&& body) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  Thread thread{std::forward<Body>(body)};
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace stucktrace::kernel
