// usage: zoo_healthy BEHAVIOUR
//
// Look-alikes: idle, slow or patient by design. None may be reported.

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "target/zoo/zoo.h"

namespace {

using target::make_pipe;
using target::PipeEnds;

int listen_somewhere() {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address.sun_family) != 0 ||
      ::listen(fd, 8) != 0) {
    target::fail("listen");
  }
  return fd;
}

void watch(int epoll, int fd) {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) target::fail("epoll_ctl");
}

void epoll_server() {
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  watch(epoll, listen_somewhere());
  watch(epoll, ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  target::announce_ready();
  epoll_event event = {};
  ::epoll_wait(epoll, &event, 1, -1);
}

// A master that only waits for its workers, which wait for clients.
void prefork_server() {
  const int listener = listen_somewhere();
  for (int at = 0; at < 3; ++at) zoo::child([&] { ::accept(listener, nullptr, nullptr); });
  target::announce_ready();
  while (::wait(nullptr) > 0) {
  }
}

// Workers wait for tasks that the accepting thread would hand out.
void thread_pool() {
  std::mutex mutex;
  std::condition_variable work;
  const auto serve = [&] {
    std::unique_lock lock(mutex);
    work.wait(lock, [] { return false; });
  };
  std::thread workers[3];
  for (std::thread& worker : workers) worker = std::thread(serve);
  const int listener = listen_somewhere();
  target::announce_ready();
  ::accept(listener, nullptr, nullptr);
}

int wake_up_end = -1;

void on_signal(int /*signal*/) {
  [[maybe_unused]] const ssize_t written = ::write(wake_up_end, "x", 1);
}

// The write end is for the program's own signal handler.
PipeEnds self_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) target::fail("pipe2");
  wake_up_end = ends[1];
  struct sigaction action = {};
  action.sa_handler = on_signal;
  ::sigaction(SIGTERM, &action, nullptr);
  return {.read_end = ends[0], .write_end = ends[1]};
}

void self_pipe_loop() {
  pollfd wake_up = {.fd = self_pipe().read_end, .events = POLLIN, .revents = 0};
  target::announce_ready();
  while (::poll(&wake_up, 1, -1) <= 0) {
  }
}

void signal_descriptor() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  const int fd = ::signalfd(-1, &signals, SFD_CLOEXEC);
  target::announce_ready();
  zoo::read_all(fd);
}

void pause_daemon() {
  target::announce_ready();
  for (;;) ::pause();
}

void sigwait_daemon() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  std::mutex mutex;
  std::condition_variable work;
  std::thread worker([&] {
    std::unique_lock lock(mutex);
    work.wait(lock, [] { return false; });
  });
  target::announce_ready();
  int signal = 0;
  ::sigwait(&signals, &signal);
}

std::string make_fifo() {
  const std::string path = zoo::fresh_directory() + "/control";
  if (::mkfifo(path.c_str(), 0600) != 0) target::fail("mkfifo");
  return path;
}

// Opened for both so that it never sees the end of the file; anybody may write to it by name.
void control_fifo() {
  const int fd = ::open(make_fifo().c_str(), O_RDWR | O_CLOEXEC);
  target::announce_ready();
  zoo::read_all(fd);
}

void fifo_awaits_client() {
  const std::string path = make_fifo();
  target::announce_ready();
  ::open(path.c_str(), O_RDONLY);
}

void slow_reader() {
  const PipeEnds ends = make_pipe();
  zoo::child([&] {
    ::close(ends.write_end);
    char buffer[4096];
    while (::read(ends.read_end, buffer, sizeof buffer) > 0) zoo::nap(100);
  });
  ::close(ends.read_end);
  target::announce_ready();
  for (;;) zoo::write_too_much(ends.write_end);
}

void slow_writer() {
  const PipeEnds ends = make_pipe();
  zoo::child([&] {
    ::close(ends.read_end);
    for (;;) {
      zoo::write_byte(ends.write_end);
      zoo::nap(300);
    }
  });
  ::close(ends.write_end);
  target::announce_ready();
  zoo::read_all(ends.read_end);
}

// The writer is blocked by a full pipe, the reader is busy with what it got.
void back_pressure() {
  const PipeEnds ends = make_pipe();
  zoo::child([&] {
    ::close(ends.write_end);
    zoo::read_byte(ends.read_end);
    zoo::compute_for_ever();
  });
  ::close(ends.read_end);
  target::announce_ready();
  zoo::write_too_much(ends.write_end);
}

void computing_child() {
  const pid_t worker = zoo::child([&] { zoo::compute_for_ever(); });
  target::announce_ready();
  zoo::wait_for(worker);
}

void computing_lock_owner() {
  std::mutex mutex;
  mutex.lock();
  std::thread waiter([&] { const std::scoped_lock lock(mutex); });
  target::announce_ready();
  zoo::compute_for_ever();
}

void sleeping_lock_owner() {
  std::mutex mutex;
  mutex.lock();
  std::thread waiter([&] { const std::scoped_lock lock(mutex); });
  target::announce_ready();
  zoo::nap(600'000);
}

void join_of_a_sleeper() {
  std::thread sleeper([] {
    for (;;) zoo::nap(700);
  });
  target::announce_ready();
  sleeper.join();
}

// Each answers the other, half a second later.
void heartbeats() {
  const PipeEnds there = make_pipe();
  const PipeEnds back = make_pipe();
  const auto beat = [](int in, int out) {
    for (;;) {
      zoo::read_byte(in);
      zoo::nap(500);
      zoo::write_byte(out);
    }
  };
  zoo::child([&] { beat(there.read_end, back.write_end); });
  zoo::write_byte(there.write_end);
  target::announce_ready();
  beat(back.read_end, there.write_end);
}

void timer_loop() {
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  const int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  const itimerspec hourly = {.it_interval = {3600, 0}, .it_value = {3600, 0}};
  ::timerfd_settime(timer, 0, &hourly, nullptr);
  watch(epoll, timer);
  target::announce_ready();
  epoll_event event = {};
  ::epoll_wait(epoll, &event, 1, -1);
}

void inotify_watcher() {
  const int fd = ::inotify_init1(IN_CLOEXEC);
  if (::inotify_add_watch(fd, zoo::fresh_directory().c_str(), IN_CREATE) < 0) {
    target::fail("inotify_add_watch");
  }
  target::announce_ready();
  zoo::read_all(fd);
}

void flock_of_a_sleeper() {
  const std::string path = zoo::fresh_directory() + "/file";
  const auto lock = [&] {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ::flock(fd, LOCK_EX);
  };
  lock();
  zoo::child(lock);
  target::announce_ready();
  zoo::nap(600'000);
}

// The shape of a multiplexed connection: both ends listen to each other, and one of them to the
// world as well.
void idle_connection() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) target::fail("socketpair");
  zoo::child([&] {
    ::close(ends[0]);
    zoo::read_all(ends[1]);
  });
  ::close(ends[1]);
  pollfd both[2] = {{.fd = ends[0], .events = POLLIN, .revents = 0},
                    {.fd = listen_somewhere(), .events = POLLIN, .revents = 0}};
  target::announce_ready();
  ::poll(both, 2, -1);
}

// A worker that its parent feeds when a client comes.
void worker_of_an_idle_server() {
  const PipeEnds orders = make_pipe();
  zoo::child([&] {
    ::close(orders.write_end);
    zoo::read_all(orders.read_end);
  });
  ::close(orders.read_end);
  const int listener = listen_somewhere();
  target::announce_ready();
  ::accept(listener, nullptr, nullptr);
}

// The parent waits for a worker that waits for the parent's other thread, which reads stdin.
void worker_fed_by_stdin() {
  const PipeEnds orders = make_pipe();
  const pid_t worker = zoo::child([&] {
    ::close(orders.write_end);
    zoo::read_all(orders.read_end);
  });
  ::close(orders.read_end);
  std::thread reader([&] {
    target::wait_for_stdin_end();
    ::close(orders.write_end);
  });
  target::announce_ready();
  zoo::wait_for(worker);
  reader.join();
}

// Nobody waits for the stopped child: job control as usual.
void stopped_and_unawaited() {
  const pid_t worker = zoo::child([] { ::raise(SIGSTOP); });
  ::waitpid(worker, nullptr, WUNTRACED);
  const int listener = listen_somewhere();
  target::announce_ready();
  ::accept(listener, nullptr, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  return zoo::run(argc, argv,
                  {{"epoll-server", epoll_server},
                   {"prefork-server", prefork_server},
                   {"thread-pool", thread_pool},
                   {"self-pipe-loop", self_pipe_loop},
                   {"signal-descriptor", signal_descriptor},
                   {"pause-daemon", pause_daemon},
                   {"sigwait-daemon", sigwait_daemon},
                   {"control-fifo", control_fifo},
                   {"fifo-awaits-client", fifo_awaits_client},
                   {"slow-reader", slow_reader},
                   {"slow-writer", slow_writer},
                   {"back-pressure", back_pressure},
                   {"computing-child", computing_child},
                   {"computing-lock-owner", computing_lock_owner},
                   {"sleeping-lock-owner", sleeping_lock_owner},
                   {"join-of-a-sleeper", join_of_a_sleeper},
                   {"heartbeats", heartbeats},
                   {"timer-loop", timer_loop},
                   {"inotify-watcher", inotify_watcher},
                   {"flock-of-a-sleeper", flock_of_a_sleeper},
                   {"idle-connection", idle_connection},
                   {"worker-of-an-idle-server", worker_of_an_idle_server},
                   {"worker-fed-by-stdin", worker_fed_by_stdin},
                   {"stopped-and-unawaited", stopped_and_unawaited}});
}
