// usage: zoo_files BEHAVIOUR
//
// Hangs through named pipes and file locks.

#include <sys/file.h>
#include <sys/stat.h>

#include "target/zoo/zoo.h"

namespace {

std::string make_fifo(const std::string& path) {
  if (::mkfifo(path.c_str(), 0600) != 0) target::fail("mkfifo");
  return path;
}

int open_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) target::fail("open");
  return fd;
}

void fifo_without_reader() {
  const std::string path = make_fifo(zoo::fresh_directory() + "/fifo");
  target::announce_ready();
  zoo::write_byte(::open(path.c_str(), O_WRONLY));
}

// Each opens the end that the other has not come to yet.
void fifos_crossed() {
  const std::string folder = zoo::fresh_directory();
  const std::string there = make_fifo(folder + "/there");
  const std::string back = make_fifo(folder + "/back");
  zoo::child([&] {
    ::open(back.c_str(), O_WRONLY);
    ::open(there.c_str(), O_RDONLY);
  });
  target::announce_ready();
  ::open(there.c_str(), O_WRONLY);
  ::open(back.c_str(), O_RDONLY);
}

void flock_abba() {
  const std::string folder = zoo::fresh_directory();
  const auto both = [&](const char* first, const char* second, int out, int in) {
    const int mine = open_file(folder + first);
    const int other = open_file(folder + second);
    if (::flock(mine, LOCK_EX) != 0) target::fail("flock");
    zoo::write_byte(out);
    zoo::read_byte(in);
    ::close(out);
    ::close(in);
    ::flock(other, LOCK_EX);
  };
  const target::PipeEnds there = target::make_pipe();
  const target::PipeEnds back = target::make_pipe();
  const pid_t other = zoo::child([&] { both("/b", "/a", back.write_end, there.read_end); });
  target::announce_ready();
  both("/a", "/b", there.write_end, back.read_end);
  zoo::wait_for(other);
}

// Two open file descriptions of one process lock each other out.
void flock_own() {
  const std::string path = zoo::fresh_directory() + "/file";
  const int first = open_file(path);
  const int second = open_file(path);
  if (::flock(first, LOCK_EX) != 0) target::fail("flock");
  target::announce_ready();
  ::flock(second, LOCK_EX);
}

void lock_whole(int fd, int command) {
  struct flock range = {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  if (::fcntl(fd, command, &range) != 0) target::fail("fcntl");
}

// The kernel sees circles of POSIX locks alone; this one goes through a pipe.
void lock_and_report(int command) {
  const std::string path = zoo::fresh_directory() + "/file";
  const int mine = open_file(path);
  const target::PipeEnds report = target::make_pipe();
  lock_whole(mine, command);
  zoo::child([&] {
    ::close(report.read_end);
    ::close(mine);
    lock_whole(open_file(path), command);
    zoo::write_byte(report.write_end);
  });
  ::close(report.write_end);
  target::announce_ready();
  zoo::read_byte(report.read_end);
}

void posix_lock_and_pipe() {
  lock_and_report(F_SETLKW);
}

void ofd_lock_and_pipe() {
  lock_and_report(F_OFD_SETLKW);
}

// The one who took the lock closed it, but a helper started meanwhile keeps it alive.
void flock_inherited() {
  const std::string path = zoo::fresh_directory() + "/file";
  const int first = open_file(path);
  const target::PipeEnds orders = target::make_pipe();
  if (::flock(first, LOCK_EX) != 0) target::fail("flock");
  zoo::child([&] {
    ::close(orders.write_end);
    zoo::read_byte(orders.read_end);
  });
  ::close(orders.read_end);
  ::close(first);
  const int again = open_file(path);
  target::announce_ready();
  ::flock(again, LOCK_EX);
  zoo::write_byte(orders.write_end);
}

void flock_and_wait() {
  const std::string path = zoo::fresh_directory() + "/file";
  const int mine = open_file(path);
  if (::flock(mine, LOCK_EX) != 0) target::fail("flock");
  const pid_t worker = zoo::child([&] {
    ::close(mine);
    ::flock(open_file(path), LOCK_EX);
  });
  target::announce_ready();
  zoo::wait_for(worker);
}

}  // namespace

int main(int argc, char** argv) {
  return zoo::run(argc, argv,
                  {{"fifo-without-reader", fifo_without_reader},
                   {"fifos-crossed", fifos_crossed},
                   {"flock-abba", flock_abba},
                   {"flock-own", flock_own},
                   {"posix-lock-and-pipe", posix_lock_and_pipe},
                   {"ofd-lock-and-pipe", ofd_lock_and_pipe},
                   {"flock-inherited", flock_inherited},
                   {"flock-and-wait", flock_and_wait}});
}
