// usage: blocked_waits [CALL]
//
// A thread for every kind of call that can block other than on a descriptor's data, all of them
// blocked when it prints ready (CALL: only this one). After go each is released in turn by what it
// waits for. One line each: "NAME waited", or "NAME ended early: RESULT errno E" if it returned
// before it was released, or "NAME failed: RESULT errno E" if it did not return what it should. No
// signal handler runs except where a line's name says so.

#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <mqueue.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>

#include "target/blocked_calls.h"

namespace {

const timespec kHour = {3600, 0};

void give(int fd) {
  target::write_all(fd, "x", 1);
}

void add_multiplexers(target::BlockedCalls& calls) {
  const auto watch = [&calls](const char* name, long number, auto wait) {
    const target::PipeEnds pipe = target::make_pipe();
    calls.add(
        name, number, [pipe, wait] { return wait(pipe.read_end); },
        [pipe] { give(pipe.write_end); }, 1);
  };
  watch("poll", SYS_poll, [](int fd) {
    pollfd one = {fd, POLLIN, 0};
    return ::poll(&one, 1, -1);
  });
  watch("poll with time-out", SYS_poll, [](int fd) {
    pollfd one = {fd, POLLIN, 0};
    return ::poll(&one, 1, 3600000);
  });
  watch("ppoll", SYS_ppoll, [](int fd) {
    pollfd one = {fd, POLLIN, 0};
    return ::ppoll(&one, 1, &kHour, nullptr);
  });
  const auto select_on = [](int fd, auto wait) {
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    return wait(fd + 1, &set);
  };
  watch("select", SYS_select, [select_on](int fd) {
    return select_on(fd, [](int count, fd_set* set) {
      return syscall(SYS_select, count, set, nullptr, nullptr, nullptr);
    });
  });
  watch("pselect", SYS_pselect6, [select_on](int fd) {
    return select_on(fd, [](int count, fd_set* set) {
      return ::pselect(count, set, nullptr, nullptr, &kHour, nullptr);
    });
  });
  const auto epoll_on = [](int fd) {
    const int set = ::epoll_create1(EPOLL_CLOEXEC);
    epoll_event event = {.events = EPOLLIN, .data = {.u64 = 0}};
    ::epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
    return set;
  };
  watch("epoll_wait", SYS_epoll_wait, [epoll_on](int fd) {
    epoll_event event;
    return ::epoll_wait(epoll_on(fd), &event, 1, -1);
  });
  watch("epoll_wait with time-out", SYS_epoll_wait, [epoll_on](int fd) {
    epoll_event event;
    return ::epoll_wait(epoll_on(fd), &event, 1, 3600000);
  });
  watch("epoll_pwait", SYS_epoll_pwait, [epoll_on](int fd) {
    epoll_event event;
    const sigset_t mask = {};
    return ::epoll_pwait(epoll_on(fd), &event, 1, -1, &mask);
  });
  watch("epoll_pwait2", SYS_epoll_pwait2, [epoll_on](int fd) {
    epoll_event event;
    return syscall(SYS_epoll_pwait2, epoll_on(fd), &event, 1, &kHour, nullptr, 0);
  });
}

std::atomic<std::uint32_t> words[4];

long futex(std::atomic<std::uint32_t>* word, int operation, std::uint32_t value,
           const timespec* until) {
  return syscall(SYS_futex, word, operation, value, until, nullptr, FUTEX_BITSET_MATCH_ANY);
}

void add_futexes(target::BlockedCalls& calls) {
  const auto wake = [](int at) {
    return [at] {
      words[at] = 1;
      futex(&words[at], FUTEX_WAKE, 1, nullptr);
    };
  };
  calls.add(
      "futex", SYS_futex, [] { return futex(&words[0], FUTEX_WAIT, 0, nullptr); }, wake(0), 0);
  calls.add(
      "futex with time-out", SYS_futex, [] { return futex(&words[1], FUTEX_WAIT, 0, &kHour); },
      wake(1), 0);
  calls.add(
      "futex bitset", SYS_futex, [] { return futex(&words[2], FUTEX_WAIT_BITSET, 0, nullptr); },
      wake(2), 0);
  calls.add(
      "futex_waitv", SYS_futex_waitv,
      [] {
        futex_waitv one = {};
        one.uaddr = reinterpret_cast<std::uintptr_t>(&words[3]);
        one.flags = FUTEX_32;
        return syscall(SYS_futex_waitv, &one, 1, 0, nullptr, CLOCK_MONOTONIC);
      },
      wake(3), 0);

  static pthread_mutex_t locked;
  pthread_mutexattr_t attributes;
  ::pthread_mutexattr_init(&attributes);
  ::pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
  ::pthread_mutex_init(&locked, &attributes);
  ::pthread_mutex_lock(&locked);
  calls.add(
      "futex with priority inheritance", SYS_futex, [] { return ::pthread_mutex_lock(&locked); },
      [] { ::pthread_mutex_unlock(&locked); }, 0);
}

void add_ipc(target::BlockedCalls& calls) {
  static const int semaphores = ::semget(IPC_PRIVATE, 2, 0600);
  if (semaphores < 0) target::fail("semget");
  static sembuf down[2] = {{0, -1, 0}, {1, -1, 0}};
  const auto up = [](unsigned short at) {
    return [at] {
      sembuf one = {at, 1, 0};
      ::semop(semaphores, &one, 1);
    };
  };
  calls.add(
      "semop", SYS_semop, [] { return ::syscall(SYS_semop, semaphores, &down[0], 1UL); }, up(0), 0);
  calls.add(
      "semtimedop", SYS_semtimedop, [] { return ::semtimedop(semaphores, &down[1], 1, &kHour); },
      up(1), 0);

  struct Message {
    long kind;
    char text[8192];
  };
  static Message message = {1, {}};
  const int in = ::msgget(IPC_PRIVATE, 0600);
  calls.add(
      "msgrcv", SYS_msgrcv,
      [in] {
        Message got = {};
        return ::msgrcv(in, &got, 1, 0, 0);
      },
      [in] { ::msgsnd(in, &message, 1, 0); }, 1);
  const int out = ::msgget(IPC_PRIVATE, 0600);
  while (::msgsnd(out, &message, sizeof message.text, IPC_NOWAIT) == 0) {
  }
  calls.add(
      "msgsnd", SYS_msgsnd, [out] { return ::msgsnd(out, &message, sizeof message.text, 0); },
      [out] {
        static Message got;
        ::msgrcv(out, &got, sizeof got.text, 0, 0);
      },
      0);
  static int ids[2] = {in, out};
  ::atexit([] {
    ::semctl(semaphores, 0, IPC_RMID);
    for (const int id : ids) ::msgctl(id, IPC_RMID, nullptr);
  });

  mq_attr sizes = {};
  sizes.mq_maxmsg = 1;
  sizes.mq_msgsize = 8;
  for (const bool timed : {false, true}) {
    const std::string name = "/blocked_calls_" + std::to_string(::getpid());
    const mqd_t queue = ::mq_open(name.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600, &sizes);
    if (queue < 0) return;  // not in this kernel
    ::mq_unlink(name.c_str());
    static char bytes[8];
    if (!timed) {
      calls.add(
          "mq_receive", SYS_mq_timedreceive,
          [queue] { return ::mq_receive(queue, bytes, 8, nullptr); },
          [queue] { ::mq_send(queue, "x", 1, 0); }, 1);
      continue;
    }
    ::mq_send(queue, "x", 1, 0);
    calls.add(
        "mq_send", SYS_mq_timedsend, [queue] { return ::mq_send(queue, "y", 1, 0); },
        [queue] { ::mq_receive(queue, bytes, 8, nullptr); }, 0);
  }
}

void add_locks(target::BlockedCalls& calls) {
  // Locks of another open file, and of another process.
  const int file = ::memfd_create("locked", MFD_CLOEXEC);
  static char path[64];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  const auto open_again = [] { return ::open(path, O_RDWR | O_CLOEXEC); };
  const int other = open_again();
  ::flock(other, LOCK_EX);
  calls.add(
      "flock", SYS_flock, [file] { return ::flock(file, LOCK_EX); },
      [other] { ::flock(other, LOCK_UN); }, 0);
  static struct flock first = {};
  first.l_type = F_WRLCK;
  first.l_len = 1;
  static struct flock second = first;
  second.l_start = 1;
  const int third = open_again();
  ::fcntl(third, F_OFD_SETLK, &first);
  calls.add(
      "open file lock", SYS_fcntl, [file] { return ::fcntl(file, F_OFD_SETLKW, &first); },
      [third] {
        struct flock none = first;
        none.l_type = F_UNLCK;
        ::fcntl(third, F_OFD_SETLK, &none);
      },
      0);
  const auto for_ever = [] {
    for (;;) ::pause();
    return 0;
  };
  const target::PipeEnds held = target::make_pipe();
  const pid_t holder = target::in_child([&] {
    ::fcntl(file, F_SETLK, &second);
    give(held.write_end);
    return for_ever();
  });
  char byte = 0;
  if (::read(held.read_end, &byte, 1) != 1) target::fail("read");
  calls.add(
      "record lock", SYS_fcntl, [file] { return ::fcntl(file, F_SETLKW, &second); },
      [holder] { ::kill(holder, SIGKILL); }, 0);
  static const pid_t children[] = {target::in_child(for_ever), target::in_child(for_ever)};
  calls.add(
      "wait4", SYS_wait4, [] { return ::waitpid(children[0], nullptr, 0); },
      [] { ::kill(children[0], SIGKILL); }, children[0]);
  calls.add(
      "waitid", SYS_waitid,
      [] { return ::waitid(P_PID, static_cast<id_t>(children[1]), nullptr, WEXITED); },
      [] { ::kill(children[1], SIGKILL); }, 0);
  ::atexit([] {
    for (const pid_t child : children) ::kill(child, SIGKILL);
  });
}

void add_signal_waits(target::BlockedCalls& calls) {
  // Blocked in all threads: taken by the call that waits for it, or by a handler in the one call
  // whose mask lets it through.
  static sigset_t wanted;
  sigemptyset(&wanted);
  for (int at = 0; at < 4; ++at) sigaddset(&wanted, SIGRTMIN + at);
  ::pthread_sigmask(SIG_BLOCK, &wanted, nullptr);
  const auto send = [&calls](const char* name, int number) {
    return
        [&calls, name, number] { ::syscall(SYS_tgkill, ::getpid(), calls.tid_of(name), number); };
  };
  static sigset_t sets[3];
  for (int at = 0; at < 3; ++at) sigaddset(&sets[at], SIGRTMIN + at);
  calls.add(
      "sigwaitinfo", SYS_rt_sigtimedwait, [] { return ::sigwaitinfo(&sets[0], nullptr); },
      send("sigwaitinfo", SIGRTMIN), SIGRTMIN);
  calls.add(
      "sigtimedwait", SYS_rt_sigtimedwait, [] { return ::sigtimedwait(&sets[1], nullptr, &kHour); },
      send("sigtimedwait", SIGRTMIN + 1), SIGRTMIN + 1);
  calls.add(
      "read a signalfd", SYS_read,
      [] {
        static char info[128];
        return ::read(::signalfd(-1, &sets[2], SFD_CLOEXEC), info, sizeof info);
      },
      send("read a signalfd", SIGRTMIN + 2), 128);
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  ::sigaction(SIGRTMIN + 3, &action, nullptr);
  ::sigaction(SIGRTMIN + 4, &action, nullptr);
  calls.add(
      "sigsuspend until its handler", SYS_rt_sigsuspend,
      [] {
        sigset_t none;
        sigemptyset(&none);
        return ::sigsuspend(&none);
      },
      send("sigsuspend until its handler", SIGRTMIN + 3), -1);
  calls.add(
      "pause until its handler", SYS_pause, [] { return ::pause(); },
      send("pause until its handler", SIGRTMIN + 4), -1);
}

void add_asynchronous_io(target::BlockedCalls& calls) {
  // A poll request in each: nothing else is sure to wait.
  static aio_context_t context = 0;
  const target::PipeEnds pipe = target::make_pipe();
  if (::syscall(SYS_io_setup, 1, &context) == 0) {
    static iocb request = {};
    request.aio_lio_opcode = IOCB_CMD_POLL;
    request.aio_fildes = static_cast<std::uint32_t>(pipe.read_end);
    request.aio_buf = POLLIN;
    iocb* requests[] = {&request};
    if (::syscall(SYS_io_submit, context, 1, requests) != 1) target::fail("io_submit");
    calls.add(
        "io_getevents", SYS_io_getevents,
        [] {
          io_event event;
          return ::syscall(SYS_io_getevents, context, 1, 1, &event, nullptr);
        },
        [pipe] { target::write_all(pipe.write_end, "x", 1); }, 1);
  }
  io_uring_params parameters = {};
  const long ring = ::syscall(SYS_io_uring_setup, 4, &parameters);
  if (ring < 0) return;  // forbidden here
  const int fd = static_cast<int>(ring);
  const auto map = [fd](std::size_t size, off_t what) {
    return static_cast<char*>(
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, what));
  };
  char* queue = map(parameters.sq_off.array + parameters.sq_entries * sizeof(std::uint32_t),
                    IORING_OFF_SQ_RING);
  auto* entries = reinterpret_cast<io_uring_sqe*>(
      map(parameters.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES));
  const target::PipeEnds other = target::make_pipe();
  entries[0] = {};
  entries[0].opcode = IORING_OP_POLL_ADD;
  entries[0].fd = other.read_end;
  entries[0].poll32_events = POLLIN;
  reinterpret_cast<std::uint32_t*>(queue + parameters.sq_off.array)[0] = 0;
  std::atomic_ref(*reinterpret_cast<std::uint32_t*>(queue + parameters.sq_off.tail)) = 1;
  if (::syscall(SYS_io_uring_enter, fd, 1, 0, 0, nullptr, 0) != 1) target::fail("io_uring_enter");
  calls.add(
      "io_uring_enter", SYS_io_uring_enter,
      [fd] { return ::syscall(SYS_io_uring_enter, fd, 0, 1, IORING_ENTER_GETEVENTS, nullptr, 0); },
      [other] { target::write_all(other.write_end, "x", 1); }, 0);
}

}  // namespace

int main(int argc, char** argv) {
  target::BlockedCalls calls(argc > 1 ? argv[1] : nullptr);
  add_multiplexers(calls);
  add_futexes(calls);
  add_ipc(calls);
  add_locks(calls);
  add_signal_waits(calls);
  add_asynchronous_io(calls);
  calls.run();
}
