// Who can act where no descriptor table tells. Such ends may be anybody's: meanwhile nothing on the
// machine that rests on its holders is proven.

#include <linux/io_uring.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cstring>

#include "tests/live/snapshot_fixture.h"

namespace stucktrace::test {
namespace {

using model::OnFd;
using model::WaitKind;

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

}  // namespace
}  // namespace stucktrace::test
