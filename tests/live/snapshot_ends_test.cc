// Who can act where no descriptor table tells, or where a name could mean another.

#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <cstring>

#include "tests/live/snapshot_fixture.h"

namespace stucktrace::test {
namespace {

using model::OnFd;
using model::OnLock;
using model::WaitKind;

void pause_for_ever() {
  while (true) ::pause();
}

void send_descriptor(int socket, int fd) {
  char byte = 'x';
  iovec data{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof fd)> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  ::sendmsg(socket, &message, 0);
}

const model::Resource* pipe_read_by(const model::Snapshot& snapshot, base::Pid pid) {
  const model::Process* process = snapshot.find(pid);
  if (process == nullptr || process->threads.empty()) return nullptr;
  const model::Wait& wait = process->threads[0].wait;
  const auto* on = wait.on.empty() ? nullptr : std::get_if<OnFd>(&wait.on[0]);
  const auto found =
      on == nullptr ? snapshot.resources.end() : snapshot.resources.find(on->resource);
  return found == snapshot.resources.end() ? nullptr : &found->second;
}

TEST_F(SnapshotTest, AnEndThatIsSentAndNotReceivedMayBeAnybodys) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
  const base::UniqueFd ours{pair[0]};
  const base::UniqueFd theirs{pair[1]};
  const Blocked child{[&] {
    ::close(ours.get());
    const Pipe pipe;
    send_descriptor(theirs.get(), pipe.write.get());
    char byte = 0;
    static_cast<void>(!::read(pipe.read.get(), &byte, 1));
  }};
  const auto snapshot = take_waiting(child.pid(), WaitKind::kPipeRead);
  ASSERT_NE(waiting(snapshot, child.pid(), WaitKind::kPipeRead), nullptr);
  const model::Resource* pipe = pipe_read_by(*snapshot, child.pid());
  ASSERT_NE(pipe, nullptr);
  EXPECT_FALSE(pipe->holders_complete);
  EXPECT_NE(pipe->incomplete_because.find("not received yet"), std::string::npos)
      << pipe->incomplete_because;
}

TEST_F(SnapshotTest, AnIoUringTellsWhichFilesItHasRegistered) {
  const Blocked child{[] {
    const Pipe pipe;
    io_uring_params parameters{};
    const auto ring = static_cast<int>(::syscall(SYS_io_uring_setup, 4, &parameters));
    if (ring < 0) ::_exit(0);
    const int file = pipe.write.get();
    ::syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &file, 1);
    char byte = 0;
    static_cast<void>(!::read(pipe.read.get(), &byte, 1));
  }};
  const auto snapshot = take_when(child.pid(), [&](const auto&, const model::Process& process) {
    return process.state == 'Z' || find_waiting(process, WaitKind::kPipeRead) != nullptr;
  });
  const model::Process* process = snapshot ? snapshot->find(child.pid()) : nullptr;
  if (process == nullptr || process->state == 'Z') GTEST_SKIP() << "no io_uring here";
  const model::Resource* pipe = pipe_read_by(*snapshot, child.pid());
  ASSERT_NE(pipe, nullptr);
  EXPECT_FALSE(pipe->holders_complete);
  EXPECT_NE(pipe->incomplete_because.find("one may be it"), std::string::npos)
      << pipe->incomplete_because;
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(&address.sun_path[0], sizeof address.sun_path - 1);
  return address;
}

void listen_at(const std::string& directory) {
  const sockaddr_un address = address_of("socket");
  const int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
  const bool listens =
      ::chdir(directory.c_str()) == 0 &&
      ::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      ::listen(listener, 0) == 0;
  if (!listens) ::_exit(1);
}

TEST_F(SnapshotTest, APathOfASocketMeansTheFileAndNotTheName) {
  const TempDir here, there;
  const Blocked other{[&] {
    listen_at(there.file("."));
    pause_for_ever();
  }};
  const Blocked wanted{[&] {
    listen_at(here.file("."));
    pause_for_ever();
  }};
  ASSERT_NE(take_waiting(other.pid(), WaitKind::kSignalWait), nullptr);
  ASSERT_NE(take_waiting(wanted.pid(), WaitKind::kSignalWait), nullptr);
  const Blocked client{[&] {
    const sockaddr_un address = address_of("socket");
    if (::chdir(here.file(".").c_str()) != 0) return;
    for (int i = 0; i < 3; ++i) {
      const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    }
  }};
  const auto snapshot = take_waiting(client.pid(), WaitKind::kConnect);
  const auto* on = first_on<OnFd>(waiting(snapshot, client.pid(), WaitKind::kConnect));
  ASSERT_NE(on, nullptr);
  const auto* socket = resource(snapshot, on->resource);
  ASSERT_TRUE(socket != nullptr && socket->peer);
  const auto* listener = resource(snapshot, *socket->peer);
  ASSERT_NE(listener, nullptr);
  EXPECT_TRUE(holds(*listener, wanted.pid(), model::FdMode::kBoth));
  EXPECT_FALSE(holds(*listener, other.pid(), model::FdMode::kBoth));
}

TEST_F(SnapshotTest, AnUpgradeWaitsForTheOtherReadersOnly) {
  const TempDir directory;
  const std::string path = directory.file("locked");
  const base::UniqueFd created{::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)};
  const auto take_lock = [](int fd, short type) {
    struct flock range{};
    range.l_type = type;
    range.l_whence = SEEK_SET;
    ::fcntl(fd, F_OFD_SETLKW, &range);
  };
  const Blocked reader{[&] {
    take_lock(::open(path.c_str(), O_RDWR), F_RDLCK);
    pause_for_ever();
  }};
  ASSERT_NE(take_waiting(reader.pid(), WaitKind::kSignalWait), nullptr);
  const Blocked child{[&] {
    const int fd = ::open(path.c_str(), O_RDWR);
    take_lock(fd, F_RDLCK);
    take_lock(::dup(fd), F_WRLCK);  // the same open file by another number
  }};
  const auto snapshot = take_waiting(child.pid(), WaitKind::kFileLock);
  const auto* on = first_on<OnLock>(waiting(snapshot, child.pid(), WaitKind::kFileLock));
  ASSERT_NE(on, nullptr);
  EXPECT_EQ(on->owners, std::vector{reader.pid()});
}

}  // namespace
}  // namespace stucktrace::test
