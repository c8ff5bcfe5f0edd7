#include "tracer/kernel/sock_diag.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

namespace stucktrace::kernel {
namespace {

using model::ResourceKind;

SocketInfo tcp(std::uint64_t inode, const std::string& local, const std::string& remote) {
  SocketInfo socket;
  socket.kind = ResourceKind::kTcpSocket;
  socket.inode = inode;
  socket.local = local;
  socket.remote = remote;
  socket.listening = remote.empty();
  return socket;
}

TEST(SocketTable, PairsTcpSocketsByTheirSwappedAddresses) {
  SocketTable table;
  table.add(tcp(1, "127.0.0.1:80", "127.0.0.1:5000"));
  table.add(tcp(2, "127.0.0.1:5000", "127.0.0.1:80"));
  table.add(tcp(3, "10.0.0.1:6000", "93.184.216.34:443"));
  table.pair_tcp();
  EXPECT_EQ(table.find(1)->peer, 2U);
  EXPECT_EQ(table.find(2)->peer, 1U);
  EXPECT_FALSE(table.find(1)->peer_outside);
  EXPECT_TRUE(table.find(3)->peer_outside);
  EXPECT_FALSE(table.find(3)->peer);
  EXPECT_EQ(table.find(4), nullptr);
}

TEST(SocketTable, AConnectionInABacklogBelongsToTheListener) {
  SocketTable table;
  table.add(tcp(1, "0.0.0.0:80", ""));
  table.add(tcp(2, "127.0.0.1:5000", "127.0.0.1:80"));
  table.add(tcp(0, "127.0.0.1:80", "127.0.0.1:5000"));
  table.pair_tcp();
  EXPECT_FALSE(table.find(2)->peer);
  EXPECT_FALSE(table.find(2)->peer_outside);
  EXPECT_EQ(table.find(2)->peer_listeners, std::vector<std::uint64_t>{1});
  EXPECT_EQ(table.size(), 2U);
}

TEST(SocketTable, ListenersOfOneAddressShareItsBacklogs) {
  SocketTable table;
  table.add(tcp(1, "127.0.0.1:80", ""));
  table.add(tcp(4, "127.0.0.1:80", ""));  // SO_REUSEPORT
  table.add(tcp(5, "0.0.0.0:80", ""));
  table.add(tcp(2, "127.0.0.1:5000", "127.0.0.1:80"));
  table.add(tcp(0, "127.0.0.1:80", "127.0.0.1:5000"));
  table.pair_tcp();
  EXPECT_EQ(table.find(2)->peer_listeners, (std::vector<std::uint64_t>{1, 4}));
}

std::vector<std::uint64_t> listeners(const SocketTable& table, const std::string& address,
                                     ResourceKind kind = ResourceKind::kTcpSocket,
                                     std::uint32_t network = 0) {
  std::vector<std::uint64_t> inodes;
  for (const SocketInfo* socket : table.find_listeners(kind, address, network)) {
    inodes.push_back(socket->inode);
  }
  return inodes;
}

TEST(SocketTable, AnExactListenerGoesBeforeAWildcard) {
  using Inodes = std::vector<std::uint64_t>;
  SocketTable table;
  table.add(tcp(1, "[::]:80", ""));
  table.add(tcp(2, "127.0.0.1:80", ""));
  table.add(tcp(3, "0.0.0.0:81", ""));
  table.add(tcp(4, "[::]:81", ""));
  EXPECT_EQ(listeners(table, "127.0.0.1:80"), Inodes{2});
  EXPECT_EQ(listeners(table, "10.0.0.1:80"), Inodes{1});  // an IPv6 wildcard takes IPv4 too
  EXPECT_EQ(listeners(table, "10.0.0.1:81"), Inodes{3});
  EXPECT_EQ(listeners(table, "[fe80::1]:81"), Inodes{4});
  EXPECT_EQ(listeners(table, "10.0.0.1:8"), Inodes{});
  EXPECT_EQ(listeners(table, "127.0.0.1:80", ResourceKind::kUnixSocket), Inodes{});
}

TEST(SocketTable, ListenersAreOfOneNetworkNamespace) {
  using Inodes = std::vector<std::uint64_t>;
  SocketTable table;
  table.add(tcp(1, "127.0.0.1:80", ""));
  SocketTable other;
  other.add(tcp(2, "127.0.0.1:80", ""));
  SocketInfo by_name;
  by_name.kind = ResourceKind::kUnixSocket;
  by_name.inode = 3;
  by_name.listening = true;
  by_name.local = "@name";
  other.add(by_name);
  by_name.inode = 4;
  by_name.local = "/run/path";
  other.add(by_name);
  table.merge(std::move(other));
  EXPECT_EQ(listeners(table, "127.0.0.1:80"), Inodes{1});
  EXPECT_EQ(listeners(table, "127.0.0.1:80", ResourceKind::kTcpSocket, 1), Inodes{2});
  EXPECT_EQ(listeners(table, "@name", ResourceKind::kUnixSocket), Inodes{});
  EXPECT_EQ(listeners(table, "@name", ResourceKind::kUnixSocket, 1), Inodes{3});
  // A path means the same file in every network namespace.
  EXPECT_EQ(listeners(table, "/run/path", ResourceKind::kUnixSocket), Inodes{4});
}

TEST(SocketTable, AListenerOfAFileIsFoundWhateverThePath) {
  SocketTable table;
  const auto add = [&](std::uint64_t inode, const char* local, std::uint64_t device,
                       std::uint32_t file) {
    SocketInfo listener;
    listener.kind = ResourceKind::kUnixSocket;
    listener.inode = inode;
    listener.listening = true;
    listener.local = local;
    listener.file_device = device;
    listener.file_inode = file;
    table.add(listener);
  };
  add(1, "socket", 8, 100);
  add(2, "socket", 8, 101);
  add(3, "../socket", 9, 100);
  add(4, "@socket", 0, 0);
  const auto at = [&table](std::uint64_t device, std::uint64_t inode, std::string_view path) {
    std::vector<std::uint64_t> inodes;
    for (const auto* socket : table.find_listeners_at(device, inode, path)) {
      inodes.push_back(socket->inode);
    }
    return inodes;
  };
  using Inodes = std::vector<std::uint64_t>;
  EXPECT_EQ(at(8, 101, "socket"), Inodes{2});
  EXPECT_EQ(at(8, 0x100000064, "/run/other"), Inodes{1});  // 32 bits of the inode are told
  // Another device in stat(2): one of several it may be.
  EXPECT_EQ(at(77, 101, "/run/socket"), Inodes{2});
  EXPECT_EQ(at(77, 100, "/run/socket"), (Inodes{1, 3}));
  EXPECT_EQ(at(77, 101, "/run/other"), Inodes{});
  EXPECT_EQ(at(8, 0, "socket"), Inodes{});
}

template <class Address>
std::string text_of(const Address& address, std::size_t length = sizeof(Address)) {
  return address_text(std::as_bytes(std::span{&address, 1}).first(length));
}

TEST(AddressText, ReadsAsSockDiagTellsIt) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(80);
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(text_of(v4), "127.0.0.1:80");
  EXPECT_EQ(text_of(v4, sizeof v4 - 1), "");
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(80);
  v6.sin6_addr = in6addr_loopback;
  EXPECT_EQ(text_of(v6), "[::1]:80");
  ::inet_pton(AF_INET6, "::ffff:10.0.0.1", &v6.sin6_addr);
  EXPECT_EQ(text_of(v6), "10.0.0.1:80");
  sockaddr_un path{};
  path.sun_family = AF_UNIX;
  std::memcpy(&path.sun_path[0], "/run/x", 7);
  EXPECT_EQ(text_of(path), "/run/x");
  EXPECT_EQ(text_of(path, sizeof(sa_family_t)), "");
  std::memcpy(&path.sun_path[0], "\0abc", 4);
  EXPECT_EQ(text_of(path, sizeof(sa_family_t) + 4), "@abc");
  path.sun_family = AF_NETLINK;
  EXPECT_EQ(text_of(path), "");
  EXPECT_EQ(address_text({}), "");
}

TEST(SocketTable, AQueuedClientFindsItsListener) {
  SocketTable table;
  SocketInfo listener;
  listener.kind = ResourceKind::kUnixSocket;
  listener.inode = 7;
  listener.listening = true;
  listener.queued_clients = {50, 51};
  table.add(listener);
  EXPECT_EQ(table.find_queueing_listener(51)->inode, 7U);
  EXPECT_EQ(table.find_queueing_listener(52), nullptr);
  SocketTable other;
  other.add(tcp(9, "1.2.3.4:1", ""));
  table.merge(std::move(other));
  EXPECT_NE(table.find(9), nullptr);
}

}  // namespace
}  // namespace stucktrace::kernel
