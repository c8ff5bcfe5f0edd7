#include "tracer/kernel/sock_diag.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

#include "tracer/base/cleanup.h"
#include "tracer/base/unique_fd.h"

namespace stucktrace::kernel {
namespace {

using model::ResourceKind;

// A listener bounds its own queue; more names than this come from nothing sane.
constexpr std::size_t kMaxQueuedClients = 65536;

struct CloseSocket {
  void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};
using NetlinkSocket = std::unique_ptr<mnl_socket, CloseSocket>;

base::Result<NetlinkSocket> open_here() {
  NetlinkSocket socket{mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC)};
  if (!socket) return base::system_error("open a sock_diag socket", base::Errno::last());
  return socket;
}

// A netlink socket belongs for life to the namespace it was made in, so the visit is short. setns()
// moves only the calling thread (setns(2)).
base::Result<NetlinkSocket> open_in(const std::string& namespace_path) {
  if (namespace_path.empty()) return open_here();
  const base::UniqueFd own{::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
  const base::UniqueFd there{::open(namespace_path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!own.valid() || !there.valid()) {
    return base::system_error("open " + namespace_path, base::Errno::last());
  }
  if (::setns(there.get(), CLONE_NEWNET) != 0) {
    return base::system_error("enter network namespace", base::Errno::last());
  }
  const base::Cleanup back{[&] { ::setns(own.get(), CLONE_NEWNET); }};
  return open_here();
}

template <class T>
std::optional<T> attribute_value(const nlattr* attribute) {
  if (mnl_attr_get_payload_len(attribute) < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, mnl_attr_get_payload(attribute), sizeof(T));
  return value;
}

std::string unix_name(const nlattr* attribute) {
  std::string_view name{static_cast<const char*>(mnl_attr_get_payload(attribute)),
                        mnl_attr_get_payload_len(attribute)};
  // An abstract name begins with a NUL and may hold more; a path ends at its first one (unix(7)).
  if (name.starts_with('\0')) return "@" + std::string{name.substr(1)};
  return std::string{name.substr(0, name.find('\0'))};
}

void read_unix_attribute(const nlattr* attribute, SocketInfo& socket) {
  switch (mnl_attr_get_type(attribute)) {
    case UNIX_DIAG_NAME:
      socket.local = unix_name(attribute);
      break;
    case UNIX_DIAG_PEER:
      if (const auto peer = attribute_value<std::uint32_t>(attribute); peer && *peer != 0) {
        socket.peer = *peer;
      }
      break;
    case UNIX_DIAG_RQLEN:
      if (const auto queue = attribute_value<unix_diag_rqlen>(attribute)) {
        socket.receive_queue = queue->udiag_rqueue;
        socket.send_queue = queue->udiag_wqueue;
      }
      break;
    case UNIX_DIAG_ICONS: {
      const std::size_t count = std::min<std::size_t>(
          mnl_attr_get_payload_len(attribute) / sizeof(std::uint32_t), kMaxQueuedClients);
      const auto* bytes = static_cast<const char*>(mnl_attr_get_payload(attribute));
      for (std::size_t i = 0; i < count; ++i) {
        std::uint32_t inode = 0;
        std::memcpy(&inode, bytes + i * sizeof inode, sizeof inode);
        if (inode != 0) socket.queued_clients.push_back(inode);
      }
      break;
    }
    default:
      break;
  }
}

int on_unix_row(const nlmsghdr* header, void* table) {
  if (mnl_nlmsg_get_payload_len(header) < sizeof(unix_diag_msg)) return MNL_CB_OK;
  unix_diag_msg message;
  std::memcpy(&message, mnl_nlmsg_get_payload(header), sizeof message);
  SocketInfo socket;
  socket.kind = ResourceKind::kUnixSocket;
  socket.inode = message.udiag_ino;
  socket.listening = message.udiag_state == TCP_LISTEN;
  socket.stream = message.udiag_type != SOCK_DGRAM;
  const auto* end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(header));
  const auto* attribute =
      static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(header, sizeof message));
  while (mnl_attr_ok(attribute, static_cast<int>(end - reinterpret_cast<const char*>(attribute)))) {
    read_unix_attribute(attribute, socket);
    attribute = mnl_attr_next(attribute);
  }
  static_cast<SocketTable*>(table)->add(std::move(socket));
  return MNL_CB_OK;
}

// "127.0.0.1:80"; an IPv4-mapped IPv6 address reads as the IPv4 one, since the other end of the
// same connection may be a plain IPv4 socket.
std::string endpoint(int family, const std::uint32_t (&address)[4], std::uint16_t port) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool mapped =
      family == AF_INET6 && address[0] == 0 && address[1] == 0 && address[2] == htonl(0xffffU);
  if (family == AF_INET || mapped) {
    ::inet_ntop(AF_INET, mapped ? &address[3] : &address[0], text.data(), text.size());
    return fmt::format("{}:{}", text.data(), ntohs(port));
  }
  ::inet_ntop(AF_INET6, &address[0], text.data(), text.size());
  return fmt::format("[{}]:{}", text.data(), ntohs(port));
}

int on_tcp_row(const nlmsghdr* header, void* table) {
  if (mnl_nlmsg_get_payload_len(header) < sizeof(inet_diag_msg)) return MNL_CB_OK;
  inet_diag_msg message;
  std::memcpy(&message, mnl_nlmsg_get_payload(header), sizeof message);
  SocketInfo socket;
  socket.kind = ResourceKind::kTcpSocket;
  socket.inode = message.idiag_inode;
  socket.listening = message.idiag_state == TCP_LISTEN;
  // A socket whose owner has closed it has no inode either, but is no connection to be accepted.
  const bool can_await_accept = message.idiag_state == TCP_ESTABLISHED ||
                                message.idiag_state == TCP_CLOSE_WAIT ||
                                message.idiag_state == TCP_SYN_RECV;
  if (socket.inode == 0 && !can_await_accept) return MNL_CB_OK;
  socket.local = endpoint(message.idiag_family, message.id.idiag_src, message.id.idiag_sport);
  if (message.id.idiag_dport != 0) {
    socket.remote = endpoint(message.idiag_family, message.id.idiag_dst, message.id.idiag_dport);
  }
  socket.receive_queue = message.idiag_rqueue;
  socket.send_queue = message.idiag_wqueue;
  static_cast<SocketTable*>(table)->add(std::move(socket));
  return MNL_CB_OK;
}

template <class Request>
base::Result<void> dump(mnl_socket* socket, const Request& request, unsigned sequence,
                        mnl_cb_t on_row, SocketTable& table) {
  std::array<char, 256> out{};
  nlmsghdr* header = mnl_nlmsg_put_header(out.data());
  header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  header->nlmsg_seq = sequence;
  std::memcpy(mnl_nlmsg_put_extra_header(header, sizeof request), &request, sizeof request);
  if (mnl_socket_sendto(socket, header, header->nlmsg_len) < 0) {
    return base::system_error("ask sock_diag", base::Errno::last());
  }
  std::vector<char> in(64U << 10U);
  while (true) {
    const ssize_t got = mnl_socket_recvfrom(socket, in.data(), in.size());
    if (got < 0) return base::system_error("read sock_diag", base::Errno::last());
    const int outcome = mnl_cb_run(in.data(), static_cast<std::size_t>(got), sequence,
                                   mnl_socket_get_portid(socket), on_row, &table);
    if (outcome == MNL_CB_STOP) return {};
    if (outcome < 0) return base::system_error("sock_diag", base::Errno::last());
  }
}

base::Result<void> dump_unix(mnl_socket* socket, SocketTable& table) {
  unix_diag_req request{};
  request.sdiag_family = AF_UNIX;
  request.udiag_states = ~0U;
  request.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_ICONS | UDIAG_SHOW_RQLEN;
  return dump(socket, request, 1, on_unix_row, table);
}

base::Result<void> dump_tcp(mnl_socket* socket, std::uint8_t family, unsigned sequence,
                            SocketTable& table) {
  inet_diag_req_v2 request{};
  request.sdiag_family = family;
  request.sdiag_protocol = IPPROTO_TCP;
  request.idiag_states = ~(1U << TCP_TIME_WAIT);
  return dump(socket, request, sequence, on_tcp_row, table);
}

std::string_view port_of(std::string_view local) {
  const std::size_t colon = local.rfind(':');
  return colon == std::string_view::npos ? std::string_view{} : local.substr(colon);
}

std::string listener_key(const SocketInfo& socket) {
  return socket.kind == ResourceKind::kTcpSocket ? std::string{port_of(socket.local)}
                                                 : socket.local;
}

// How well a listener suits an address, as the kernel weighs them; 0 = not at all.
int suitability(const SocketInfo& listener, std::string_view local) {
  if (listener.local == local) return 3;
  if (listener.kind != ResourceKind::kTcpSocket) return 0;
  const bool is_v6 = local.starts_with('[');
  if (listener.local.starts_with("0.0.0.0:")) return is_v6 ? 0 : 2;
  // Unless told otherwise one on any IPv6 address takes IPv4 too (ipv6(7)).
  return listener.local.starts_with("[::]:") ? 1 : 0;
}

std::string unix_address(std::span<const std::byte> raw) {
  sockaddr_un address{};
  std::memcpy(&address, raw.data(), std::min(raw.size(), sizeof address));
  constexpr std::size_t kPath = offsetof(sockaddr_un, sun_path);
  if (raw.size() <= kPath) return {};
  const std::string_view path{&address.sun_path[0], std::min(raw.size(), sizeof address) - kPath};
  if (path.front() == '\0') return "@" + std::string{path.substr(1)};
  return std::string{path.substr(0, path.find('\0'))};
}

std::string inet_address(int family, std::span<const std::byte> raw) {
  std::uint32_t words[4] = {};
  if (family == AF_INET) {
    sockaddr_in address{};
    if (raw.size() < sizeof address) return {};
    std::memcpy(&address, raw.data(), sizeof address);
    words[0] = address.sin_addr.s_addr;
    return endpoint(family, words, address.sin_port);
  }
  sockaddr_in6 address{};
  constexpr std::size_t kWithoutScope = offsetof(sockaddr_in6, sin6_scope_id);
  if (raw.size() < kWithoutScope) return {};
  std::memcpy(&address, raw.data(), std::min(raw.size(), sizeof address));
  std::memcpy(&words[0], &address.sin6_addr, sizeof words);
  return endpoint(family, words, address.sin6_port);
}

}  // namespace

bool is_loopback(std::string_view endpoint) {
  return endpoint.starts_with("127.") || endpoint.starts_with("[::1]:");
}

std::string address_text(std::span<const std::byte> address) {
  sa_family_t family = AF_UNSPEC;
  if (address.size() < sizeof family) return {};
  std::memcpy(&family, address.data(), sizeof family);
  if (family == AF_UNIX) return unix_address(address);
  if (family == AF_INET || family == AF_INET6) return inet_address(family, address);
  return {};
}

base::Result<SocketTable> SocketTable::read(const std::string& namespace_path) {
  const auto socket = open_in(namespace_path);
  if (!socket) return std::unexpected(socket.error());
  // The kernel accepts ten seconds of silence from nobody; a dump is never that long.
  timeval limit{.tv_sec = 2, .tv_usec = 0};
  const int fd = mnl_socket_get_fd(socket->get());
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (mnl_socket_bind(socket->get(), 0, MNL_SOCKET_AUTOPID) < 0) {
    return base::system_error("bind sock_diag", base::Errno::last());
  }
  SocketTable table;
  const auto unix_part = dump_unix(socket->get(), table);
  const auto tcp4_part = dump_tcp(socket->get(), AF_INET, 2, table);
  const auto tcp6_part = dump_tcp(socket->get(), AF_INET6, 3, table);
  if (!unix_part && !tcp4_part && !tcp6_part) return std::unexpected(unix_part.error());
  table.pair_tcp();
  return table;
}

void SocketTable::add(SocketInfo socket) {
  if (socket.inode == 0) {
    if (socket.kind == ResourceKind::kTcpSocket) unaccepted_.push_back(std::move(socket));
    return;
  }
  const std::uint64_t inode = socket.inode;
  if (socket.listening) listeners_.emplace(listener_key(socket), inode);
  for (const std::uint64_t client : socket.queued_clients) queueing_.emplace(client, inode);
  sockets_.insert_or_assign(inode, std::move(socket));
}

const SocketInfo* SocketTable::find(std::uint64_t inode) const {
  const auto at = sockets_.find(inode);
  return at == sockets_.end() ? nullptr : &at->second;
}

std::vector<const SocketInfo*> SocketTable::find_listeners(ResourceKind kind,
                                                           const std::string& local,
                                                           std::uint32_t network) const {
  std::vector<const SocketInfo*> best;
  int best_suits = 1;
  const bool tcp = kind == ResourceKind::kTcpSocket;
  const auto [first, last] = listeners_.equal_range(tcp ? std::string{port_of(local)} : local);
  for (auto at = first; at != last; ++at) {
    const SocketInfo* socket = find(at->second);
    if (socket == nullptr || socket->kind != kind) continue;
    if (socket->network != network && (tcp || local.starts_with('@'))) continue;
    const int suits = suitability(*socket, local);
    if (suits < best_suits) continue;
    if (suits > best_suits) best.clear();
    best_suits = suits;
    best.push_back(socket);
  }
  std::ranges::sort(best, {}, &SocketInfo::inode);
  return best;
}

const SocketInfo* SocketTable::find_queueing_listener(std::uint64_t client) const {
  const auto at = queueing_.find(client);
  return at == queueing_.end() ? nullptr : find(at->second);
}

void SocketTable::merge(SocketTable&& other) {
  for (auto& [inode, socket] : other.sockets_) socket.network += networks_;
  networks_ += other.networks_;
  sockets_.merge(other.sockets_);
  listeners_.merge(other.listeners_);
  queueing_.merge(other.queueing_);
  unaccepted_.insert(unaccepted_.end(), other.unaccepted_.begin(), other.unaccepted_.end());
}

void SocketTable::pair_tcp() {
  std::unordered_map<std::string, std::uint64_t> by_pair;
  const auto key = [](const std::string& from, const std::string& to) { return from + ">" + to; };
  for (const auto& [inode, socket] : sockets_) {
    if (socket.kind == ResourceKind::kTcpSocket && !socket.remote.empty()) {
      by_pair.emplace(key(socket.local, socket.remote), inode);
    }
  }
  for (const SocketInfo& waiting : unaccepted_) {
    by_pair.emplace(key(waiting.local, waiting.remote), 0);
  }
  for (auto& [inode, socket] : sockets_) {
    if (socket.kind != ResourceKind::kTcpSocket || socket.remote.empty()) continue;
    const auto other = by_pair.find(key(socket.remote, socket.local));
    if (other == by_pair.end()) {
      socket.peer_outside = true;
    } else if (other->second != 0) {
      socket.peer = other->second;
    } else {
      for (const SocketInfo* listener : find_listeners(socket.kind, socket.remote)) {
        socket.peer_listeners.push_back(listener->inode);
      }
    }
  }
}

}  // namespace stucktrace::kernel
