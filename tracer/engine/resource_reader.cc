#include "tracer/engine/resource_reader.h"

#include <fmt/format.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "tracer/kernel/pipe_probe.h"
#include "tracer/kernel/sysv_ipc.h"

namespace stucktrace::engine {
namespace {

using model::FdMode;
using model::Holder;
using model::Resource;
using model::ResourceId;
using model::ResourceKind;

// An event loop may watch thousands of descriptors; the rest stays "not asked".
constexpr std::size_t kMaxProbes = 2048;

bool is_machine_wide(ResourceKind kind) {
  switch (kind) {
    case ResourceKind::kPipe:
    case ResourceKind::kFifo:
    case ResourceKind::kUnixSocket:
    case ResourceKind::kTcpSocket:
    case ResourceKind::kEventFd:
    case ResourceKind::kMessageQueue:
    case ResourceKind::kFileLock:
      return true;
    default:
      return false;
  }
}

bool can_be_probed(ResourceKind kind) {
  return is_machine_wide(kind) && kind != ResourceKind::kFileLock;
}

// "/dev/pts/7" -> the master with number 7 (pty(7)); 256 slaves for each of the eight majors.
std::optional<ResourceId> pty_master_of(const ResourceId& terminal) {
  constexpr unsigned kFirst = 136, kLast = 143, kPerMajor = 256;
  const unsigned device_major = major(terminal.inode);
  if (device_major < kFirst || device_major > kLast) return std::nullopt;
  const std::uint64_t index = (device_major - kFirst) * kPerMajor + minor(terminal.inode);
  return ResourceId{ResourceKind::kPtyMaster, 0, index, 0};
}

std::string pid_list(const std::vector<base::Pid>& pids) {
  constexpr std::size_t kShown = 5;
  std::string text;
  for (std::size_t i = 0; i < pids.size() && i < kShown; ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : ", ", pids[i]);
  }
  if (pids.size() > kShown) text += fmt::format(" and {} more", pids.size() - kShown);
  return text;
}

void add_sorted(std::vector<Holder>& holders, const Holder& holder) {
  const auto at = std::ranges::lower_bound(holders, holder);
  if (at == holders.end() || *at != holder) holders.insert(at, holder);
}

}  // namespace

// A connection in a backlog has no inode on the listener's side: who holds the listener can act for
// it. Which backlog it is, is not told where several listeners share the address.
ResourceId ResourceReader::far_end(const kernel::SocketInfo& client,
                                   const std::vector<std::uint64_t>& listeners) {
  const ResourceId id{client.kind, listeners.front(), client.inode, 0};
  unaccepted_[id] = listeners;
  return id;
}

void ResourceReader::fill_unaccepted(Resource& resource) {
  resource.unaccepted = true;
  const auto found = unaccepted_.find(resource.id);
  if (found == unaccepted_.end()) return;
  for (const std::uint64_t inode : found->second) {
    const Resource& listener = add({resource.id.kind, 0, inode, 0});
    if (resource.label.empty()) {
      resource.label = listener.label;
      resource.backlog = listener.backlog;
      resource.backlog_queued = listener.backlog_queued;
    }
    for (const Holder& holder : listener.holders) add_sorted(resource.holders, holder);
    resource.holders_complete = listener.holders_complete;
    resource.incomplete_because = listener.incomplete_because;
  }
}

void ResourceReader::fill_socket(Resource& resource) {
  const auto* table = sockets_.table();
  const auto* socket = table != nullptr ? table->find(resource.id.inode) : nullptr;
  if (socket == nullptr) return;
  resource.label = socket->local;
  resource.listening = socket->listening;
  resource.peer_outside = socket->peer_outside;
  if (socket->peer_outside) resource.label = socket->remote;
  if (socket->listening) {
    resource.backlog = socket->send_queue;
    resource.backlog_queued = socket->receive_queue;
    // One more than the limit is let in (listen(2), sk_acceptq_is_full).
    resource.full = socket->receive_queue > socket->send_queue;
    return;
  }
  resource.queued = socket->receive_queue;
  if (const auto noted = notes_.listeners.find(resource.id); noted != notes_.listeners.end()) {
    resource.peer_outside = false;
    resource.peer = noted->second.size() == 1
                        ? ResourceId{socket->kind, 0, noted->second.front(), 0}
                        : far_end(*socket, noted->second);
  } else if (socket->peer) {
    resource.peer = ResourceId{socket->kind, 0, *socket->peer, 0};
  } else if (!socket->peer_listeners.empty()) {
    resource.peer = far_end(*socket, socket->peer_listeners);
  } else if (const auto* listener = table->find_queueing_listener(socket->inode)) {
    resource.peer = far_end(*socket, {listener->inode});
  }
}

void ResourceReader::fill_semaphore(Resource& resource) {
  resource.incomplete_because = "any process may use a System V semaphore";
  if (resource.id.device != 0) return;  // of another IPC namespace, see there
  const auto state = kernel::semaphore_state(static_cast<int>(resource.id.inode),
                                             static_cast<int>(resource.id.offset));
  if (!state) return;
  resource.queued = static_cast<std::uint64_t>(state->value);
  const Operation last{state->last_operator, state->last_operation};
  last_uses_[resource.id] = {last, last};
  const bool alive = has_lived_since(last.by, last.wall);
  resource.label =
      fmt::format("semaphore {} of set {}: value {}, last used by process {}{}", resource.id.offset,
                  resource.id.inode, state->value, state->last_operator, alive ? "" : " (gone)");
}

void ResourceReader::fill_queue(Resource& resource) {
  resource.incomplete_because = "any process may use a System V queue";
  if (resource.id.device != 0) return;
  const auto state = kernel::queue_state(static_cast<int>(resource.id.inode));
  if (!state) return;
  resource.queued = state->messages;
  resource.capacity = state->capacity_bytes;
  last_uses_[resource.id] = {{state->last_receiver, state->last_received},
                             {state->last_sender, state->last_sent}};
  resource.label =
      fmt::format("queue {}: {} messages, last sender {}, last receiver {}", resource.id.inode,
                  state->messages, state->last_sender, state->last_receiver);
}

// The kernel remembers a number; by now it may be another process's, one that began later.
bool ResourceReader::has_lived_since(base::Pid pid, base::Nanoseconds wall) const {
  if (!pid) return false;
  const auto stat = procfs_.stat(pid);
  if (!stat || stat->state == 'Z' || stat->state == 'X') return false;
  const auto began = kernel::wall_time_of(stat->start_time);
  // The kernel keeps whole seconds of the operation.
  return !began || *began <= wall + std::chrono::seconds{1};
}

// Who took from where there is nothing, or last made room where there is none, is the best guess at
// who will act; one who waits in the same place on the same thing is named for both.
void ResourceReader::name_last_user(Resource& resource, FdMode direction,
                                    std::set<base::Pid>& releasers) {
  const auto found = last_uses_.find(resource.id);
  if (found == last_uses_.end()) return;
  const Operation& last = model::writes(direction) ? found->second.reading : found->second.writing;
  if (!last.by) return;  // never used, or by a process outside of our pid namespace
  if (resource.last_user && *resource.last_user != last.by) {
    resource.last_user.reset();  // senders and receivers wait at once: no one answer
    resource.last_user_alive = false;
    last_uses_.erase(found);
    return;
  }
  resource.last_user = last.by;
  resource.last_user_alive = has_lived_since(last.by, last.wall);
  if (resource.last_user_alive) releasers.insert(last.by);
}

void ResourceReader::fill_holders(Resource& resource) {
  resource.holders = scan_.holders(resource.id);
  resource.holders_complete = scan_.unreadable().empty();
  if (!resource.holders_complete) {
    resource.incomplete_because = fmt::format("the descriptors of process {} could not be read",
                                              pid_list(scan_.unreadable()));
  } else if (std::string who = scan_.unseen_holder(resource.holders); !who.empty()) {
    resource.holders_complete = false;
    resource.incomplete_because = std::move(who);
  } else if (std::string where = scan_.unseen_end(resource.id, sockets_.table()); !where.empty()) {
    resource.holders_complete = false;
    resource.incomplete_because = std::move(where);
  }
}

Resource& ResourceReader::add(const ResourceId& id) {
  const auto [at, is_new] = resources_.try_emplace(id);
  Resource& resource = at->second;
  if (!is_new) return resource;
  resource.id = id;
  if (const auto noted = notes_.labels.find(id); noted != notes_.labels.end()) {
    resource.label = noted->second;
  }
  switch (id.kind) {
    case ResourceKind::kUnixSocket:
    case ResourceKind::kTcpSocket:
      if (unaccepted_.contains(id)) {
        fill_unaccepted(resource);
        return resource;
      }
      fill_socket(resource);
      break;
    case ResourceKind::kSysvSemaphore:
      fill_semaphore(resource);
      break;
    case ResourceKind::kSysvQueue:
      fill_queue(resource);
      break;
    case ResourceKind::kTty:
      resource.peer = pty_master_of(id);
      resource.incomplete_because = "only the processes looked at were asked";
      break;
    default:
      break;
  }
  if (is_machine_wide(id.kind)) fill_holders(resource);
  // std::map keeps references valid while the peer is added.
  if (resource.peer) add(*resource.peer);
  return resource;
}

void ResourceReader::add_holder_pids(const ResourceId& id, std::set<base::Pid>& pids) {
  const auto at = resources_.find(id);
  if (at == resources_.end() || !followed_.insert(id).second) return;
  for (const Holder& holder : at->second.holders) pids.insert(holder.pid);
}

std::set<base::Pid> ResourceReader::add_wait(base::Pid pid, base::Tid tid, const model::Wait& wait,
                                             bool follow) {
  std::set<base::Pid> releasers;
  for (const model::WaitOn& on : wait.on) {
    if (const auto* fd = std::get_if<model::OnFd>(&on)) {
      Resource& resource = add(fd->resource);
      if (wait.kind == model::WaitKind::kFifoOpen) {
        add_sorted(resource.holders, {pid, fd->fd, fd->direction});
      }
      if (follow) add_holder_pids(fd->resource, releasers);
      name_last_user(resource, fd->direction, releasers);
      if (follow && resource.peer) add_holder_pids(*resource.peer, releasers);
      // A socket that is still connecting polls as it likes.
      const bool connecting = wait.kind == model::WaitKind::kConnect;
      if (fd->fd >= 0 && !connecting && can_be_probed(fd->resource.kind)) {
        ends_.try_emplace({fd->resource, fd->direction}, End{pid, tid, fd->fd});
      }
    } else if (const auto* lock = std::get_if<model::OnLock>(&on)) {
      add(lock->file);
      releasers.insert(lock->owners.begin(), lock->owners.end());
    } else if (const auto* children = std::get_if<model::OnChildren>(&on)) {
      releasers.insert(children->children.begin(), children->children.end());
    } else if (const auto* task = std::get_if<model::OnTask>(&on)) {
      releasers.insert(task->pid);
    } else if (const auto* futex = std::get_if<model::OnFutex>(&on)) {
      releasers.insert(futex->sharers.begin(), futex->sharers.end());
    }
  }
  if (!follow) return {};
  releasers.erase(pid);
  return releasers;
}

void ResourceReader::probe(const ResourceId& id, FdMode direction, const End& end) {
  Resource& resource = resources_.at(id);
  const kernel::EndState state = kernel::probe_end(end.pid, end.tid, end.fd, id);
  if (state.capacity || !resource.capacity) resource.capacity = state.capacity;
  if (state.queued || !resource.queued) resource.queued = state.queued;
  if (model::writes(direction)) {
    resource.full = state.writable ? model::Known<bool>{!*state.writable}
                                   : model::unknown(state.writable.error().because);
  }
  if (model::reads(direction)) resource.readable = state.readable;
}

void ResourceReader::probe_ends() {
  std::size_t count = 0;
  for (const auto& [key, end] : ends_) {
    if (++count > kMaxProbes) return;
    probe(key.first, key.second, end);
  }
}

void ResourceReader::add_terminal_holders(const std::vector<const model::Process*>& processes) {
  for (auto& [id, resource] : resources_) {
    if (id.kind != ResourceKind::kTty && id.kind != ResourceKind::kPtyMaster) continue;
    for (const model::Process* process : processes) {
      if (!process->fds) continue;
      for (const model::FdEntry& entry : *process->fds) {
        if (entry.resource != id) continue;
        add_sorted(resource.holders, {process->pid, entry.fd, entry.mode});
        if (resource.label.empty()) resource.label = entry.label;
      }
    }
  }
}

}  // namespace stucktrace::engine
