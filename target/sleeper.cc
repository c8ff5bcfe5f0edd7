// usage: sleeper [SECONDS]
//
// The main thread sleeps SECONDS (default 3600) in one clock_nanosleep and prints "slept whole", or
// "slept interrupted" if the call returned early. A second thread named "stdin" ends the process at
// the end of stdin.

#include <pthread.h>

#include <ctime>
#include <thread>

#include "target/target.h"

int main(int argc, char** argv) {
  const double seconds = target::number_argument(argc, argv, 1, 3600, 1e6);
  std::thread([] {
    ::pthread_setname_np(::pthread_self(), "stdin");
    target::wait_for_stdin_end();
    ::_exit(0);
  }).detach();
  timespec duration = {};
  duration.tv_sec = static_cast<time_t>(seconds);
  duration.tv_nsec = static_cast<long>((seconds - static_cast<double>(duration.tv_sec)) * 1e9);
  target::announce_ready();
  const int error = ::clock_nanosleep(CLOCK_MONOTONIC, 0, &duration, nullptr);
  target::say(error == 0 ? "slept whole" : "slept interrupted");
  return error == 0 ? 0 : 1;
}
