#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tracer/base/result.h"
#include "tracer/model/resource.h"

namespace stucktrace::kernel {

// One socket as sock_diag(7) tells it.
struct SocketInfo {
  model::ResourceKind kind = model::ResourceKind::kOtherSocket;  // kUnixSocket or kTcpSocket
  std::uint64_t inode = 0;  // 0: a tcp connection nobody has accepted yet
  bool listening = false;
  bool stream = true;  // a unix stream or seqpacket socket, or tcp
  // A connection: the other end's inode on this machine. Unix sockets by UNIX_DIAG_PEER, tcp by the
  // swapped address pair within the same network namespace.
  std::optional<std::uint64_t> peer;
  bool peer_outside = false;  // tcp: connected, and no socket of this namespace is the other end
  // Tcp: the other end is a connection still in the backlog of a listener. Several where listeners
  // share the address (SO_REUSEPORT): it is in that of one of them.
  std::vector<std::uint64_t> peer_listeners;
  // Listening sockets: connections not yet accepted and how many fit. Others: bytes.
  std::uint32_t receive_queue = 0;
  std::uint32_t send_queue = 0;
  std::string local;   // "/run/x.sock", "@abstract", "127.0.0.1:80", "[::1]:80"; "" unnamed
  std::string remote;  // tcp: the other address
  // Unix listeners: the client-side inodes of queued connections.
  std::vector<std::uint64_t> queued_clients;
  // Unix sockets bound to a path: the file made there, device as st_dev has it. The inode's lower
  // 32 bits are told.
  std::uint64_t file_device = 0;
  std::uint32_t file_inode = 0;
  std::uint32_t network = 0;  // which of the table's network namespaces; 0 = the first
};

// The host part of an address as SocketInfo has it is of this machine alone: "127.0.0.1:80".
bool is_loopback(std::string_view endpoint);
// The same text for an address out of a tracee's memory (sockaddr_un, sockaddr_in, sockaddr_in6);
// "" for any other family or a cut address.
std::string address_text(std::span<const std::byte> address);

// All unix and tcp sockets of one network namespace at one instant.
class SocketTable {
 public:
  // Of the namespace of `namespace_path` ("/proc/12/ns/net"), entered for the moment of opening one
  // netlink socket (setns(2), needs CAP_SYS_ADMIN); "" = our own. kUnsupported without
  // CONFIG_UNIX_DIAG and CONFIG_INET_DIAG; a kernel with only one of them gives that one.
  static base::Result<SocketTable> read(const std::string& namespace_path = {});

  const SocketInfo* find(std::uint64_t inode) const;
  // Listening unix sockets by their path or "@abstract" name; listening tcp sockets by
  // "127.0.0.1:80", where one on any address of that port answers if none has that very address.
  // In that network only, except for paths. By inode.
  std::vector<const SocketInfo*> find_listeners(model::ResourceKind kind, const std::string& local,
                                                std::uint32_t network = 0) const;
  // Listening unix sockets bound to this file, whatever path they and their clients know it by; on
  // any network, as paths are. Where a file system shows another device in stat(2) than it has
  // (btrfs), the last part of the path has to be the same. By inode.
  std::vector<const SocketInfo*> find_listeners_at(std::uint64_t device, std::uint64_t inode,
                                                   std::string_view path) const;
  // The listener in whose backlog the client socket waits to be accepted (unix sockets).
  const SocketInfo* find_queueing_listener(std::uint64_t client) const;
  // Adds what another namespace has; inodes are unique on the machine.
  void merge(SocketTable&& other);
  void add(SocketInfo socket);
  // Fills peer, peer_outside and peer_listeners of tcp sockets from the address pairs.
  void pair_tcp();
  std::size_t size() const { return sockets_.size(); }

 private:
  std::unordered_map<std::uint64_t, SocketInfo> sockets_;
  // Listeners by name, tcp ones by port (":80"); clients of unix listeners by their inode.
  std::unordered_multimap<std::string, std::uint64_t> listeners_;
  std::unordered_map<std::uint64_t, std::uint64_t> queueing_;
  std::vector<SocketInfo> unaccepted_;  // tcp rows with inode 0
  std::uint32_t networks_ = 1;
};

}  // namespace stucktrace::kernel
