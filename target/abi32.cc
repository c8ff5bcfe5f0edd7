// usage: abi32 [after | block]
//
// Compiled for 32 bits. Makes the calls that a 32-bit task makes in another way than a 64-bit one:
// through socketcall(2) and ipc(2), with arguments in memory, with 64 bits in two registers, with
// structures of 32-bit words and with either width of time. Prints what each gave. Waits for one
// byte on stdin or its end before it begins. Ends by an exec of itself with "after", which exits
// with 7. With "block" three threads wait for ever, in socketcall, in the old select and in a futex
// with a 64-bit time, until stdin ends.

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/net.h>
#include <poll.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <thread>

#include "target/target.h"

static_assert(sizeof(void*) == 4, "this program is of no use in 64 bits");

namespace {

constexpr std::uint64_t kFarOffset = 0x1'0000'0010;  // past what a 32-bit off_t holds

long socketcall(int which, std::array<long, 6> args) {
  return ::syscall(SYS_socketcall, which, args.data());
}

void sockets() {
  int pair[2] = {-1, -1};
  if (socketcall(SYS_SOCKETPAIR, {AF_UNIX, SOCK_STREAM, 0, reinterpret_cast<long>(pair)}) != 0) {
    target::fail("socketpair");
  }
  const char sent[] = "through socketcall";
  const long out =
      socketcall(SYS_SEND, {pair[0], reinterpret_cast<long>(sent), sizeof sent - 1, MSG_NOSIGNAL});
  char received[64] = {};
  const long in = socketcall(SYS_RECVFROM,
                             {pair[1], reinterpret_cast<long>(received), sizeof received, 0, 0, 0});
  target::say("sent %ld received %ld '%s'", out, in, received);

  iovec part{received, 7};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  target::say("sendmsg %ld",
              socketcall(SYS_SENDMSG, {pair[0], reinterpret_cast<long>(&message), 0}));

  sockaddr_un nobody{};
  nobody.sun_family = AF_UNIX;
  std::strcpy(nobody.sun_path, "/nonexistent/abi32");
  const long fd = socketcall(SYS_SOCKET, {AF_UNIX, SOCK_STREAM, 0});
  const long connected =
      socketcall(SYS_CONNECT, {fd, reinterpret_cast<long>(&nobody), sizeof nobody});
  target::say("connect %ld errno %d", connected, errno);
  ::close(static_cast<int>(fd));
  ::close(pair[0]);
  ::close(pair[1]);
}

void semaphores() {
  const long set = ::syscall(SYS_ipc, 2 /* SEMGET */, IPC_PRIVATE, 1, 0600, nullptr, 0);
  if (set < 0) target::fail("semget");
  sembuf up{0, 3, IPC_NOWAIT};
  const long done = ::syscall(SYS_ipc, 1 /* SEMOP */, set, 1, 0, &up, 0);
  long argument = 0;
  const long value = ::syscall(SYS_ipc, 3 /* SEMCTL */, set, 0, GETVAL, &argument, 0);
  ::syscall(SYS_ipc, 3, set, 0, IPC_RMID, &argument, 0);
  target::say("semop %ld value %ld", done, value);
}

void memory() {
  const std::array<long, 6> args = {0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0};
  const long at = ::syscall(SYS_mmap, args.data());
  target::say("old mmap %s", at != -1 ? "mapped" : "failed");
  ::munmap(reinterpret_cast<void*>(at), 4096);
}

void files() {
  const int fd = static_cast<int>(::syscall(SYS_memfd_create, "abi32", 0));
  if (fd < 0) target::fail("memfd_create");
  const auto low = static_cast<long>(kFarOffset & 0xffffffff);
  const auto high = static_cast<long>(kFarOffset >> 32);
  const long put = ::syscall(SYS_pwrite64, fd, "far", 3, low, high);
  char got[4] = {};
  const long taken = ::syscall(SYS_pread64, fd, got, 3, low, high);
  std::uint64_t position = 0;
  const long sought = ::syscall(SYS__llseek, fd, high, low, &position, SEEK_SET);
  target::say("pwrite %ld pread %ld '%s' llseek %ld at %llu", put, taken, got, sought,
              static_cast<unsigned long long>(position));
  struct flock64 lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off64_t>(kFarOffset);
  lock.l_len = 5;
  target::say("lock %ld", ::syscall(SYS_fcntl64, fd, 13 /* F_SETLK64 */, &lock));
  ::close(fd);
}

void waits() {
  const target::PipeEnds ends = target::make_pipe();
  pollfd set[] = {{ends.read_end, POLLIN, 0}, {ends.write_end, POLLOUT, 0}};
  target::say("poll %ld", ::syscall(SYS_poll, set, 2, 0));
  std::array<std::uint32_t, 32> bits{};
  bits[static_cast<std::size_t>(ends.write_end) / 32] |= 1U << (ends.write_end % 32);
  struct {
    std::int32_t seconds, microseconds;
  } none{0, 0};
  const std::array<long, 5> args = {ends.write_end + 1, 0, reinterpret_cast<long>(bits.data()), 0,
                                    reinterpret_cast<long>(&none)};
  target::say("old select %ld", ::syscall(SYS_select, args.data()));
  ::close(ends.read_end);
  ::close(ends.write_end);

  std::uint32_t word = 5;
  struct {
    std::int32_t seconds, nanoseconds;
  } brief{0, 1'000'000};
  struct {
    std::int64_t seconds, nanoseconds;
  } brief64{0, 2'000'000};
  ::syscall(SYS_futex, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 5, &brief, nullptr, 0);
  const int first = errno;
  ::syscall(SYS_futex_time64, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 5, &brief64, nullptr, 0);
  target::say("futex errno %d, time64 errno %d", first, errno);
  target::say("nanosleep %ld", ::syscall(SYS_nanosleep, &brief, nullptr));
}

void tasks() {
  std::thread([] { target::say("a thread"); }).join();
  const pid_t child = ::fork();
  if (child == 0) {
    char* const words[] = {const_cast<char*>("true"), const_cast<char*>("an argument"), nullptr};
    ::execv("/bin/true", words);
    ::_exit(127);
  }
  int status = -1;
  const long reaped = ::syscall(SYS_waitpid, child, &status, 0);
  target::say("reaped %s status %d", reaped == child ? "it" : "nothing", status);
}

[[noreturn]] void block() {
  int pair[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) target::fail("socketpair");
  const target::PipeEnds ends = target::make_pipe();
  std::thread([&] {
    char byte = 0;
    socketcall(SYS_RECV, {pair[0], reinterpret_cast<long>(&byte), 1, 0});
  }).detach();
  std::thread([&] {
    std::array<std::uint32_t, 32> bits{};
    bits[static_cast<std::size_t>(ends.read_end) / 32] |= 1U << (ends.read_end % 32);
    const std::array<long, 5> args = {ends.read_end + 1, reinterpret_cast<long>(bits.data()), 0, 0,
                                      0};
    ::syscall(SYS_select, args.data());
  }).detach();
  std::uint32_t word = 5;
  std::thread([&] {
    struct {
      std::int64_t seconds, nanoseconds;
    } long_time{7200, 0};
    ::syscall(SYS_futex_time64, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 5, &long_time, nullptr, 0);
  }).detach();
  target::announce_ready();
  target::wait_for_stdin_end();
  ::_exit(0);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "block") == 0) block();
  if (argc > 1 && std::strcmp(argv[1], "after") == 0) {
    target::say("after exec");
    return 7;
  }
  target::announce_ready();
  target::wait_for_go();
  sockets();
  semaphores();
  memory();
  files();
  waits();
  tasks();
  const iovec parts[] = {{const_cast<char*>("two "), 4}, {const_cast<char*>("parts\n"), 6}};
  if (::writev(STDOUT_FILENO, parts, 2) != 10) target::fail("writev");
  char* const words[] = {argv[0], const_cast<char*>("after"), nullptr};
  ::execv("/proc/self/exe", words);
  target::fail("exec");
}
