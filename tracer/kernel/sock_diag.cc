#include "tracer/kernel/sock_diag.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/handlers.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
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

struct FreeSocket {
  void operator()(nl_sock* socket) const { nl_socket_free(socket); }
};
using NetlinkSocket = std::unique_ptr<nl_sock, FreeSocket>;

// The library has codes of its own in place of errno.
base::Failure netlink_error(const char* operation, int code) {
  base::Error error;
  if (code == -NLE_PERM || code == -NLE_NOACCESS) error.kind = base::ErrorKind::kDenied;
  if (code == -NLE_OPNOTSUPP) error.kind = base::ErrorKind::kUnsupported;
  error.operation = fmt::format("{}: {}", operation, nl_geterror(code));
  return base::Failure{std::move(error)};
}

base::Result<NetlinkSocket> open_here() {
  NetlinkSocket socket{nl_socket_alloc()};
  if (!socket) return base::system_error("open a sock_diag socket", base::Errno{ENOMEM});
  if (const int code = nl_connect(socket.get(), NETLINK_SOCK_DIAG); code < 0) {
    return netlink_error("open a sock_diag socket", code);
  }
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
std::optional<T> attribute_value(nlattr* attribute) {
  if (static_cast<std::size_t>(nla_len(attribute)) < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, nla_data(attribute), sizeof(T));
  return value;
}

std::string unix_name(nlattr* attribute) {
  std::string_view name{static_cast<const char*>(nla_data(attribute)),
                        static_cast<std::size_t>(nla_len(attribute))};
  // An abstract name begins with a NUL and may hold more; a path ends at its first one (unix(7)).
  if (name.starts_with('\0')) return "@" + std::string{name.substr(1)};
  return std::string{name.substr(0, name.find('\0'))};
}

void read_unix_attribute(nlattr* attribute, SocketInfo& socket) {
  switch (nla_type(attribute)) {
    case UNIX_DIAG_NAME:
      socket.local = unix_name(attribute);
      break;
    case UNIX_DIAG_VFS:
      if (const auto file = attribute_value<unix_diag_vfs>(attribute)) {
        // Of the device the kernel's own number is told: 12 bits and 20.
        constexpr unsigned kMinorBits = 20;
        socket.file_device = makedev(file->udiag_vfs_dev >> kMinorBits,
                                     file->udiag_vfs_dev & ((1U << kMinorBits) - 1));
        socket.file_inode = file->udiag_vfs_ino;
      }
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
          static_cast<std::size_t>(nla_len(attribute)) / sizeof(std::uint32_t), kMaxQueuedClients);
      const auto* bytes = static_cast<const char*>(nla_data(attribute));
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

// What follows the netlink header of a row; nullopt where it is shorter than it must be.
template <class Row>
std::optional<Row> row_of(nlmsghdr* header) {
  if (nlmsg_valid_hdr(header, sizeof(Row)) == 0) return std::nullopt;
  Row row;
  std::memcpy(&row, nlmsg_data(header), sizeof row);
  return row;
}

int on_unix_row(nl_msg* told, void* table) {
  nlmsghdr* header = nlmsg_hdr(told);
  const auto row = row_of<unix_diag_msg>(header);
  if (!row) return NL_OK;
  SocketInfo socket;
  socket.kind = ResourceKind::kUnixSocket;
  socket.inode = row->udiag_ino;
  socket.listening = row->udiag_state == TCP_LISTEN;
  socket.stream = row->udiag_type != SOCK_DGRAM;
  nlattr* attribute = nlmsg_attrdata(header, sizeof *row);
  int left = nlmsg_attrlen(header, sizeof *row);
  for (; nla_ok(attribute, left) != 0; attribute = nla_next(attribute, &left)) {
    read_unix_attribute(attribute, socket);
  }
  static_cast<SocketTable*>(table)->add(std::move(socket));
  return NL_OK;
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

int on_tcp_row(nl_msg* told, void* table) {
  const auto row = row_of<inet_diag_msg>(nlmsg_hdr(told));
  if (!row) return NL_OK;
  SocketInfo socket;
  socket.kind = ResourceKind::kTcpSocket;
  socket.inode = row->idiag_inode;
  socket.listening = row->idiag_state == TCP_LISTEN;
  // A socket whose owner has closed it has no inode either, but is no connection to be accepted.
  const bool can_await_accept = row->idiag_state == TCP_ESTABLISHED ||
                                row->idiag_state == TCP_CLOSE_WAIT ||
                                row->idiag_state == TCP_SYN_RECV;
  if (socket.inode == 0 && !can_await_accept) return NL_OK;
  socket.local = endpoint(row->idiag_family, row->id.idiag_src, row->id.idiag_sport);
  if (row->id.idiag_dport != 0) {
    socket.remote = endpoint(row->idiag_family, row->id.idiag_dst, row->id.idiag_dport);
  }
  socket.receive_queue = row->idiag_rqueue;
  socket.send_queue = row->idiag_wqueue;
  static_cast<SocketTable*>(table)->add(std::move(socket));
  return NL_OK;
}

template <class Request>
base::Result<void> dump(nl_sock* socket, Request request, nl_recvmsg_msg_cb_t on_row,
                        SocketTable& table) {
  nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, on_row, &table);
  int code = nl_send_simple(socket, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &request, sizeof request);
  if (code < 0) return netlink_error("ask sock_diag", code);
  // Takes in all parts of the answer; sockets that come or go meanwhile are no error.
  code = nl_recvmsgs_default(socket);
  if (code < 0 && code != -NLE_DUMP_INTR) return netlink_error("read sock_diag", code);
  return {};
}

base::Result<void> dump_unix(nl_sock* socket, SocketTable& table) {
  unix_diag_req request{};
  request.sdiag_family = AF_UNIX;
  request.udiag_states = ~0U;
  request.udiag_show =
      UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_PEER | UDIAG_SHOW_ICONS | UDIAG_SHOW_RQLEN;
  return dump(socket, request, on_unix_row, table);
}

base::Result<void> dump_tcp(nl_sock* socket, std::uint8_t family, SocketTable& table) {
  inet_diag_req_v2 request{};
  request.sdiag_family = family;
  request.sdiag_protocol = IPPROTO_TCP;
  request.idiag_states = ~(1U << TCP_TIME_WAIT);
  return dump(socket, request, on_tcp_row, table);
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
  const timeval limit{.tv_sec = 2, .tv_usec = 0};
  ::setsockopt(nl_socket_get_fd(socket->get()), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  constexpr std::size_t kMessageBytes = 64U << 10U;
  nl_socket_set_msg_buf_size(socket->get(), kMessageBytes);
  SocketTable table;
  const auto unix_part = dump_unix(socket->get(), table);
  const auto tcp4_part = dump_tcp(socket->get(), AF_INET, table);
  const auto tcp6_part = dump_tcp(socket->get(), AF_INET6, table);
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

std::vector<const SocketInfo*> SocketTable::find_listeners_at(std::uint64_t device,
                                                              std::uint64_t inode,
                                                              std::string_view path) const {
  const auto name_of = [](std::string_view whole) { return whole.substr(whole.rfind('/') + 1); };
  std::vector<const SocketInfo*> exact, by_name;
  for (const auto& [name, number] : listeners_) {
    const SocketInfo* socket = find(number);
    if (socket == nullptr || socket->kind != ResourceKind::kUnixSocket) continue;
    const bool same_inode = socket->file_inode == static_cast<std::uint32_t>(inode);
    if (socket->file_inode == 0 || !same_inode) continue;
    if (socket->file_device == device) exact.push_back(socket);
    if (name_of(socket->local) == name_of(path)) by_name.push_back(socket);
  }
  std::vector<const SocketInfo*>& found = exact.empty() ? by_name : exact;
  std::ranges::sort(found, {}, &SocketInfo::inode);
  return std::move(found);
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
