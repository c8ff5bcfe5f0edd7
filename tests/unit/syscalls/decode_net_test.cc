#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "syscalls/decode.h"
#include "tests/unit/syscalls/fake_tracee.h"

namespace stucktrace::syscalls::testing {
namespace {

std::uint64_t put_unix(FakeTracee& memory, std::string_view path) {
  std::string bytes(2, '\0');
  bytes[0] = AF_UNIX;
  bytes += path;
  return memory.put_raw(bytes);
}

TEST(DecodeNet, UnixAddresses) {
  FakeTracee memory;
  const std::uint64_t path = put_unix(memory, std::string{"/run/x.sock\0junk", 16});
  EXPECT_EQ(open_text(memory, "connect", {3, path, 18}),
            "connect(3, {sa_family=AF_UNIX, sun_path=\"/run/x.sock\"}, 18)");
  const std::uint64_t abstract = put_unix(memory, std::string{"\0a\0b", 4});
  EXPECT_EQ(open_text(memory, "bind", {3, abstract, 6}),
            "bind(3, {sa_family=AF_UNIX, sun_path=@\"a\\0b\"}, 6)");
  EXPECT_EQ(open_text(memory, "bind", {3, abstract, 2}), "bind(3, {sa_family=AF_UNIX}, 2)");
  EXPECT_EQ(open_text(memory, "bind", {3, abstract, 1}), "bind(3, 0x12000, 1)");
  EXPECT_EQ(open_text(memory, "bind", {3, kBadAddress, 110}), "bind(3, 0xdead0000, 110)");
}

TEST(DecodeNet, InternetAddresses) {
  FakeTracee memory;
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(443);
  inet_pton(AF_INET, "10.1.2.3", &v4.sin_addr);
  EXPECT_EQ(open_text(memory, "connect", {3, memory.put(v4), sizeof(v4)}),
            "connect(3, {sa_family=AF_INET, sin_port=htons(443), "
            "sin_addr=inet_addr(\"10.1.2.3\")}, 16)");
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(80);
  v6.sin6_addr = in6addr_loopback;
  EXPECT_EQ(open_text(memory, "bind", {3, memory.put(v6), sizeof(v6)}),
            "bind(3, {sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), "
            "sin6_addr=inet_pton(AF_INET6, \"::1\"), sin6_scope_id=0}, 28)");
  EXPECT_EQ(open_text(memory, "bind", {3, memory.put(v6), 10}),
            "bind(3, {sa_family=AF_INET6}, 10)");
  sockaddr_nl netlink{};
  netlink.nl_family = AF_NETLINK;
  netlink.nl_groups = 3;
  EXPECT_EQ(open_text(memory, "bind", {3, memory.put(netlink), sizeof(netlink)}),
            "bind(3, {sa_family=AF_NETLINK, nl_pid=0, nl_groups=0x3}, 12)");
}

TEST(DecodeNet, AddressesThatComeBack) {
  FakeTracee memory;
  const std::uint64_t address = put_unix(memory, "/x");
  const std::uint64_t length = memory.put<std::uint32_t>(4);
  EXPECT_EQ(open_text(memory, "accept4", {3, address, length, SOCK_CLOEXEC}),
            "accept4(3, 0x10000, 0x12000, SOCK_CLOEXEC)");
  EXPECT_EQ(done_text(memory, "accept4", {3, address, length, SOCK_CLOEXEC}, 7),
            "accept4(3, {sa_family=AF_UNIX, sun_path=\"/x\"}, [4], SOCK_CLOEXEC) = 7");
  EXPECT_EQ(done_text(memory, "accept", {3, 0, 0}, 7), "accept(3, NULL, NULL) = 7");
}

TEST(DecodeNet, Sockets) {
  const FakeTracee memory;
  EXPECT_EQ(open_text(memory, "socket", {AF_INET, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP}),
            "socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP)");
  EXPECT_EQ(open_text(memory, "socket", {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE}),
            "socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)");
  EXPECT_EQ(open_text(memory, "socket", {AF_UNIX, SOCK_STREAM, 0}),
            "socket(AF_UNIX, SOCK_STREAM, 0)");
  EXPECT_EQ(open_text(memory, "shutdown", {3, 1}), "shutdown(3, SHUT_WR)");
}

TEST(DecodeNet, SocketPairs) {
  FakeTracee memory;
  EXPECT_EQ(done_text(memory, "socketpair",
                      {AF_UNIX, SOCK_STREAM, 0, memory.put_array<std::int32_t>({5, 6})}, 0),
            "socketpair(AF_UNIX, SOCK_STREAM, 0, [5, 6]) = 0");
}

TEST(DecodeNet, Options) {
  FakeTracee memory;
  const std::uint64_t one = memory.put<std::int32_t>(1);
  const std::uint64_t four = memory.put<std::uint32_t>(4);
  EXPECT_EQ(open_text(memory, "setsockopt", {3, SOL_SOCKET, SO_REUSEADDR, one, 4}),
            "setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4)");
  EXPECT_EQ(open_text(memory, "setsockopt", {3, SOL_TCP, TCP_NODELAY, one, 4}),
            "setsockopt(3, SOL_TCP, TCP_NODELAY, [1], 4)");
  EXPECT_EQ(done_text(memory, "getsockopt", {3, SOL_SOCKET, SO_ERROR, one, four}, 0),
            "getsockopt(3, SOL_SOCKET, SO_ERROR, [1], [4]) = 0");
  EXPECT_EQ(open_text(memory, "getsockopt", {3, SOL_SOCKET, SO_ERROR, one, four}),
            "getsockopt(3, SOL_SOCKET, SO_ERROR, 0x10000, 0x12000)");
  const std::uint64_t time = memory.put_array<std::int64_t>({2, 500'000});
  EXPECT_EQ(open_text(memory, "setsockopt", {3, SOL_SOCKET, SO_RCVTIMEO, time, 16}),
            "setsockopt(3, SOL_SOCKET, SO_RCVTIMEO, {tv_sec=2, tv_usec=500000}, 16)");
  const std::uint64_t linger = memory.put_array<std::int32_t>({1, 5});
  EXPECT_EQ(open_text(memory, "setsockopt", {3, SOL_SOCKET, SO_LINGER, linger, 8}),
            "setsockopt(3, SOL_SOCKET, SO_LINGER, {l_onoff=1, l_linger=5}, 8)");
  EXPECT_EQ(open_text(memory, "setsockopt", {3, 9999, 77, one, 100}),
            "setsockopt(3, 9999, 77, 0x10000, 100)");
}

TEST(DecodeNet, Datagrams) {
  FakeTracee memory;
  const std::uint64_t buf = memory.put_raw("ping");
  EXPECT_EQ(open_text(memory, "sendto", {3, buf, 4, MSG_NOSIGNAL, 0, 0}),
            "sendto(3, \"ping\", 4, MSG_NOSIGNAL, NULL, 0)");
  EXPECT_EQ(done_text(memory, "recvfrom", {3, buf, 100, MSG_DONTWAIT, 0, 0}, 2),
            "recvfrom(3, \"pi\", 100, MSG_DONTWAIT, NULL, NULL) = 2");
}

struct Message {
  std::uint64_t name = 0;
  std::uint32_t name_length = 0;
  std::uint32_t pad = 0;
  std::uint64_t iov = 0;
  std::uint64_t iov_count = 0;
  std::uint64_t control = 0;
  std::uint64_t control_length = 0;
  std::uint64_t flags = 0;
};

TEST(DecodeNet, MessagesAndPassedDescriptors) {
  FakeTracee memory;
  const std::uint64_t buf = memory.put_raw("data");
  Message message;
  message.iov = memory.put_array<std::uint64_t>({buf, 4});
  message.iov_count = 1;
  message.control = memory.put_array<std::uint32_t>({24, 0, SOL_SOCKET, SCM_RIGHTS, 5, 6});
  message.control_length = 24;
  const std::uint64_t header = memory.put(message);
  const std::string shown =
      "{msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base=\"data\", iov_len=4}], msg_iovlen=1, "
      "msg_control=[{cmsg_len=24, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[5, 6]}], "
      "msg_controllen=24, msg_flags=0}";
  EXPECT_EQ(open_text(memory, "sendmsg", {3, header, 0}), "sendmsg(3, " + shown + ", 0)");
  EXPECT_EQ(done_text(memory, "recvmsg", {3, header, 0x40000000}, 4),
            "recvmsg(3, " + shown + ", MSG_CMSG_CLOEXEC) = 4");
  EXPECT_EQ(open_text(memory, "recvmsg", {3, header, 0}), "recvmsg(3, 0x16000, 0)");
  EXPECT_EQ(open_text(memory, "sendmsg", {3, kBadAddress, 0}), "sendmsg(3, 0xdead0000, 0)");
}

TEST(DecodeNet, BrokenAncillaryData) {
  FakeTracee memory;
  Message message;
  // A length below the header's own, which must not be walked; then one beyond the bytes there are.
  message.control = memory.put_array<std::uint32_t>({3, 0, SOL_SOCKET, SCM_RIGHTS, 5, 6});
  message.control_length = 24;
  EXPECT_NE(open_text(memory, "sendmsg", {3, memory.put(message), 0}).find("msg_control=[],"),
            std::string::npos);
  message.control =
      memory.put_array<std::uint32_t>({0xffffffff, 0xffffffff, SOL_SOCKET, SCM_RIGHTS, 5});
  message.control_length = ~std::uint64_t{0};
  const std::string text = open_text(memory, "sendmsg", {3, memory.put(message), 0});
  EXPECT_NE(text.find("cmsg_data=[5]}, ...]"), std::string::npos) << text;
}

TEST(DecodeNet, ManyMessages) {
  FakeTracee memory;
  struct Entry {
    Message header;
    std::uint64_t length = 0;
  };
  Entry entry;
  entry.header.iov = memory.put_array<std::uint64_t>({memory.put_raw("one two"), 7});
  entry.header.iov_count = 1;
  entry.length = 3;
  const std::uint64_t vector = memory.put(entry);
  const std::string received = done_text(memory, "recvmmsg", {3, vector, 8, 0, 0}, 1);
  EXPECT_NE(received.find("iov_base=\"one\", iov_len=7"), std::string::npos) << received;
  EXPECT_NE(received.find("msg_len=3"), std::string::npos) << received;
  const std::string sent = open_text(memory, "sendmmsg", {3, vector, 1, 0});
  EXPECT_NE(sent.find("iov_base=\"one two\""), std::string::npos) << sent;
}

}  // namespace
}  // namespace stucktrace::syscalls::testing
