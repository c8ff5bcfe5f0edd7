// Who can act where a name could mean another.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/live/snapshot_fixture.h"

namespace stucktrace::test {
namespace {

using model::OnFd;
using model::OnLock;
using model::WaitKind;

void pause_for_ever() {
  while (true) ::pause();
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
      static_cast<void>(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address));
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
