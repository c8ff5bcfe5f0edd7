#pragma once

#include <cstdint>
#include <optional>
#include <string>
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
  // Tcp: the other end is a connection still in the backlog of this listener.
  std::optional<std::uint64_t> peer_listener;
  // Listening sockets: connections not yet accepted and how many fit. Others: bytes.
  std::uint32_t receive_queue = 0;
  std::uint32_t send_queue = 0;
  std::string local;   // "/run/x.sock", "@abstract", "127.0.0.1:80", "[::1]:80"; "" unnamed
  std::string remote;  // tcp: the other address
  // Unix listeners: the client-side inodes of queued connections.
  std::vector<std::uint64_t> queued_clients;
};

// All unix and tcp sockets of one network namespace at one instant.
class SocketTable {
 public:
  // Of the namespace of `namespace_path` ("/proc/12/ns/net"), entered for the moment of opening one
  // netlink socket (setns(2), needs CAP_SYS_ADMIN); "" = our own. kUnsupported without
  // CONFIG_UNIX_DIAG and CONFIG_INET_DIAG; a kernel with only one of them gives that one.
  static base::Result<SocketTable> read(const std::string& namespace_path = {});

  const SocketInfo* find(std::uint64_t inode) const;
  // A listening unix socket by its path or "@abstract" name; a listening tcp socket by
  // "127.0.0.1:80" where a listener on any address of that port matches too.
  const SocketInfo* find_listener(model::ResourceKind kind, const std::string& local) const;
  // The listener in whose backlog the client socket waits to be accepted (unix sockets).
  const SocketInfo* find_queueing_listener(std::uint64_t client) const;
  // Adds what another namespace has; inodes are unique on the machine.
  void merge(SocketTable&& other);
  void add(SocketInfo socket);
  // Fills peer, peer_outside and peer_listener of tcp sockets from the address pairs.
  void pair_tcp();
  std::size_t size() const { return sockets_.size(); }

 private:
  std::unordered_map<std::uint64_t, SocketInfo> sockets_;
  std::vector<SocketInfo> unaccepted_;  // tcp rows with inode 0
};

}  // namespace stucktrace::kernel
