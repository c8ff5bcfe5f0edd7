#include "tracer/kernel/sock_diag.h"

#include <gtest/gtest.h>

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
  EXPECT_EQ(table.find(2)->peer_listener, 1U);
  EXPECT_EQ(table.size(), 2U);
}

TEST(SocketTable, AnExactListenerGoesBeforeAWildcard) {
  SocketTable table;
  table.add(tcp(1, "[::]:80", ""));
  table.add(tcp(2, "127.0.0.1:80", ""));
  EXPECT_EQ(table.find_listener(ResourceKind::kTcpSocket, "127.0.0.1:80")->inode, 2U);
  EXPECT_EQ(table.find_listener(ResourceKind::kTcpSocket, "10.0.0.1:80")->inode, 1U);
  EXPECT_EQ(table.find_listener(ResourceKind::kTcpSocket, "10.0.0.1:8"), nullptr);
  EXPECT_EQ(table.find_listener(ResourceKind::kUnixSocket, "127.0.0.1:80"), nullptr);
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
