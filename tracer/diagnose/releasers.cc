#include "tracer/diagnose/releasers.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <string_view>

#include "tracer/base/text.h"

namespace stucktrace::diagnose {
namespace {

using model::FdMode;
using model::Resource;
using model::ResourceKind;
using model::WaitKind;

template <class... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};

class Derivation {
 public:
  Derivation(const GraphView& view, Node& node) : view_(view), node_(node) {}

  void run() {
    const model::Wait& wait = node_.wait;
    if (node_.motion == Motion::kRunning) return;
    if (wait.kind == WaitKind::kStopped) {
      stopped();
      return;
    }
    // It may have all it waits for and be kept from going on.
    if (node_.process->frozen) outside("whoever thaws its frozen control group");
    if (wait.kind == WaitKind::kDisk) outside("the disk");
    if (wait.timeout || wait.remaining || wait.polling) node_.timer = true;
    for (const model::WaitOn& on : wait.on) {
      std::visit(Overloaded{[this](const model::OnFd& fd) { on_fd(fd); },
                            [this](const model::OnChildren& children) { on_children(children); },
                            [this](const model::OnFutex& futex) { on_futex(futex); },
                            [this](const model::OnTask& task) { on_task(task.pid); },
                            [this](const model::OnLock& lock) { on_lock(lock); },
                            [this](const model::OnSignal&) { outside("a signal"); },
                            [this](const model::OnOutside& out) { outside(out.who); },
                            [this](const model::OnUnknown& what) { opaque(what.because); }},
                 on);
    }
    const bool explained = !wait.on.empty() || node_.timer || !node_.outside.empty();
    if (!explained) opaque("what it waits for is not known");
  }

 private:
  void outside(const std::string& who) {
    if (node_.outside.empty()) node_.outside = who.empty() ? "something outside" : who;
  }
  // Nothing can be concluded about this wait: it may end at any time.
  void opaque(std::string because) {
    if (node_.opaque.empty()) node_.opaque = std::move(because);
  }
  // The releasers found may not be all.
  void unknown(std::string because) {
    if (std::ranges::find(node_.unknown, because) == node_.unknown.end()) {
      node_.unknown.push_back(std::move(because));
    }
  }

  void add_process(base::Pid pid, std::optional<model::ResourceId> resource, std::string why) {
    if (const auto group = view_.group_of(pid)) {
      node_.releases.push_back({group, 0, resource, std::move(why)});
    }
  }

  void stopped() {
    if (node_.thread->state == 't' && node_.process->tracer != 0 &&
        view_.now.find(base::Pid{node_.process->tracer}) != nullptr) {
      add_process(base::Pid{node_.process->tracer}, std::nullopt, "traces it");
      return;
    }
    outside(node_.thread->state == 't' ? fmt::format("its tracer (pid {})", node_.process->tracer)
                                       : std::string("whoever sends SIGCONT"));
  }

  // ---- descriptors ------------------------------------------------------------------------------

  const Resource* resource(const model::ResourceId& id) {
    const auto found = view_.now.resources.find(id);
    return found == view_.now.resources.end() ? nullptr : &found->second;
  }

  static const model::FdEntry* ring_of(const model::Process& process) {
    if (!process.fds) return nullptr;
    const auto entry = std::ranges::find(*process.fds, ResourceKind::kIoUring,
                                         [](const model::FdEntry& fd) { return fd.resource.kind; });
    return entry == process.fds->end() ? nullptr : &*entry;
  }
  // What is queued in an io_uring the kernel does, whatever the threads wait for; it is not shown.
  void work_in_ring(const model::Process& process, std::string_view can_act_on) {
    const model::FdEntry* ring = ring_of(process);
    if (ring == nullptr) return;
    unknown(fmt::format("process {} has {} and an io_uring (fd {}): work queued in that may act",
                        process.pid, can_act_on, ring->fd));
  }
  // An event may be made to tell of each piece of work that a ring has done
  // (io_uring_register(2), IORING_REGISTER_EVENTFD): an idle loop.
  void told_by_ring(const Resource& held) {
    for (const model::Holder& holder : held.holders) {
      const model::Process* process = view_.now.find(holder.pid);
      const model::FdEntry* ring = process == nullptr ? nullptr : ring_of(*process);
      if (ring == nullptr) continue;
      outside(fmt::format("the io_uring of process {} (fd {})", holder.pid, ring->fd));
    }
  }

  // An end that nobody can see now was in somebody's hands before. If all holders were seen then,
  // and still hold theirs, they have given it to nobody as far as they stood still meanwhile: a
  // descriptor that is just on its way between others is no doubt.
  bool all_known_before(const model::ResourceId& id, const Resource& held) const {
    if (view_.before == nullptr) return false;
    const auto found = view_.before->resources.find(id);
    return found != view_.before->resources.end() && found->second.holders_complete &&
           std::ranges::includes(held.holders, found->second.holders);
  }

  // Adds the threads of everybody who holds `id` open for one of `mode`'s directions.
  void holders(const model::ResourceId& id, const Resource& held, FdMode mode,
               std::string_view end) {
    bool any = false;
    for (const model::Holder& holder : held.holders) {
      const bool matches = (model::reads(mode) && model::reads(holder.mode)) ||
                           (model::writes(mode) && model::writes(holder.mode));
      if (!matches) continue;
      any = true;
      const model::Process* process = view_.now.find(holder.pid);
      if (process == nullptr) {
        opaque(fmt::format("process {} holds {} but was not looked at", holder.pid, end));
        continue;
      }
      if (is_zombie(*process)) continue;
      work_in_ring(*process, end);
      add_process(holder.pid, id, fmt::format("holds {} (fd {})", end, holder.fd));
    }
    if (!any) opaque(fmt::format("nobody who holds {} can be seen", end));
    if (!held.holders_complete && !all_known_before(id, held)) {
      unknown(fmt::format("somebody else may hold {}: {}", end,
                          held.incomplete_because.empty() ? "not every process could be read"
                                                          : held.incomplete_because));
    }
  }

  void on_fd(const model::OnFd& on) {
    const Resource* held = resource(on.resource);
    switch (on.resource.kind) {
      case ResourceKind::kPipe:
      case ResourceKind::kFifo:
        on_pipe(on, held);
        return;
      case ResourceKind::kUnixSocket:
      case ResourceKind::kTcpSocket:
        on_socket(on, held);
        return;
      case ResourceKind::kEventFd:
        if (held == nullptr) {
          opaque("who shares the descriptor is not known");
          return;
        }
        holders(on.resource, *held, FdMode::kBoth, "the same descriptor");
        told_by_ring(*held);
        told_by_handler(*held);
        return;
      case ResourceKind::kMessageQueue:
        on_queue(on, held);
        return;
      case ResourceKind::kSysvQueue:
        on_sysv_queue(on, held);
        return;
      case ResourceKind::kTty:
        outside("the terminal's user");
        return;
      case ResourceKind::kPtyMaster:
        outside("the programs on the terminal");
        return;
      case ResourceKind::kTimerFd:
        node_.timer = true;
        return;
      case ResourceKind::kSignalFd:
        outside("a signal");
        return;
      case ResourceKind::kInotify:
        outside("a change in the file system");
        return;
      case ResourceKind::kOtherSocket:
      case ResourceKind::kCharDevice:
        outside(fmt::format("the other end of {}", model::to_string(on.resource)));
        return;
      default:
        opaque(fmt::format("who can act on {} is not known", model::to_string(on.resource)));
    }
  }

  // Programs learn of a child's end by a pipe or event of their own that their handler of SIGCHLD
  // writes to; they poll it or simply read.
  void told_by_handler(const Resource& held) {
    const bool own = std::ranges::any_of(held.holders, [&](const model::Holder& holder) {
      return holder.pid == node_.pid() && model::writes(holder.mode);
    });
    constexpr std::uint64_t kChild = std::uint64_t{1} << (SIGCHLD - 1);
    const auto& caught = node_.process->caught_signals;
    if (!own || (caught && (*caught & kChild) == 0)) return;
    for (const model::Process& process : view_.now.processes) {
      if (process.parent != node_.pid() || is_zombie(process)) continue;
      add_process(process.pid, std::nullopt, "is a child whose end a signal handler would tell");
    }
  }

  void on_pipe(const model::OnFd& on, const Resource* held) {
    if (held == nullptr) {
      opaque(fmt::format("who holds {} is not known", model::to_string(on.resource)));
      return;
    }
    const bool fifo = on.resource.kind == ResourceKind::kFifo;
    if (model::reads(on.direction)) {
      if (held->readable.value_or(false)) node_.ready = true;
      holders(on.resource, *held, FdMode::kWrite, "the write end");
      told_by_handler(*held);
      // Anybody may open the path and write; that is what a named pipe is for.
      if (fifo) outside("whoever opens the fifo");
    }
    if (model::writes(on.direction)) {
      if (held->full && !*held->full) node_.ready = true;
      if (!held->full) {
        unknown(fmt::format("whether the pipe is full could not be asked ({})",
                            held->full.error().because));
      }
      holders(on.resource, *held, FdMode::kRead, "the read end");
      if (fifo) unknown("another process could open the fifo and read");
    }
  }

  void on_socket(const model::OnFd& on, const Resource* held) {
    if (held == nullptr) {
      opaque(fmt::format("the other end of {} is not known", model::to_string(on.resource)));
      return;
    }
    if (held->peer_outside) {
      outside(held->label.empty() ? std::string("a peer on another machine") : held->label);
      return;
    }
    if (held->listening) {
      outside("any client that connects");
      return;
    }
    if (model::reads(on.direction) && held->readable.value_or(false)) node_.ready = true;
    if (model::writes(on.direction) && held->full && !*held->full) node_.ready = true;
    const Resource* peer = held->peer ? resource(*held->peer) : nullptr;
    if (peer == nullptr) {
      opaque(fmt::format("the other end of {} is not known", model::to_string(on.resource)));
      return;
    }
    holders(peer->id, *peer, FdMode::kBoth,
            peer->unaccepted ? "the listening socket" : "the other end of the socket");
  }

  // The file behind a descriptor of the waiter has no name any more.
  bool is_deleted(int fd) const {
    const auto& fds = node_.process->fds;
    if (!fds) return false;
    const auto entry = std::ranges::find(*fds, fd, &model::FdEntry::fd);
    return entry != fds->end() && entry->label.ends_with(" (deleted)");
  }

  void on_queue(const model::OnFd& on, const Resource* held) {
    if (held == nullptr) {
      opaque("who shares the message queue is not known");
      return;
    }
    if (model::writes(on.direction)) {
      if (held->full && !*held->full) node_.ready = true;
      holders(on.resource, *held, FdMode::kRead, "the queue for receiving");
    } else {
      if (held->queued && *held->queued > 0) node_.ready = true;
      holders(on.resource, *held, FdMode::kWrite, "the queue for sending");
      // Its name is for others to find it: a server waits so.
      if (!is_deleted(on.fd)) outside("whoever opens the message queue");
    }
    if (!is_deleted(on.fd)) unknown("another process could open the message queue by its name");
  }

  // Anybody with permission may use it by number. Who received (or sent) last is the best that is
  // known. Of a semaphore that would say nothing: who takes is not who gives, where it counts.
  void on_sysv_queue(const model::OnFd& on, const Resource* held) {
    if (held == nullptr || !held->last_user) {
      opaque(fmt::format("who can act on {} is not known", model::to_string(on.resource)));
      return;
    }
    const base::Pid user = *held->last_user;
    if (!held->last_user_alive || view_.now.find(user) == nullptr || user == node_.pid()) {
      outside("whoever uses " + model::to_string(on.resource));
      return;
    }
    const bool sends = model::writes(on.direction);
    add_process(user, on.resource,
                fmt::format("was the last to {} the queue", sends ? "receive from" : "send to"));
    unknown(
        fmt::format("process {} was the last to {} {} and is taken to be the one to do it next; "
                    "any process may",
                    user, sends ? "receive from" : "send to", model::to_string(on.resource)));
  }

  // ---- processes --------------------------------------------------------------------------------

  void on_children(const model::OnChildren& on) {
    if (on.children.empty()) opaque("no child that it could wait for can be seen");
    for (const base::Pid child : on.children) {
      const model::Process* process = view_.now.find(child);
      if (process == nullptr) {
        opaque(fmt::format("child process {} was not looked at", child));
        continue;
      }
      const bool stopped = process->state == 'T' && on.reports_stops;
      if (is_zombie(*process) || stopped) {
        node_.ready = true;
        continue;
      }
      add_process(child, std::nullopt, "is the child process waited for");
    }
  }

  void on_task(base::Pid pid) {
    const model::Process* process = view_.now.find(pid);
    if (process == nullptr) {
      opaque(fmt::format("process {} was not looked at", pid));
    } else if (is_zombie(*process)) {
      node_.ready = true;
    } else {
      add_process(pid, std::nullopt, "is the process waited for");
    }
  }

  void on_lock(const model::OnLock& on) {
    if (on.owners.empty()) opaque("who holds the file lock is not known");
    for (const base::Pid owner : on.owners) {
      if (view_.now.find(owner) == nullptr) {
        opaque(fmt::format("process {} holds the file lock but was not looked at", owner));
        continue;
      }
      add_process(owner, on.file, "holds the file lock");
    }
    // Through another descriptor of its own; another thread could close that one.
    node_.waits_for_itself =
        on.owners == std::vector{node_.pid()} && node_.process->threads.size() == 1;
  }

  // ---- futexes ----------------------------------------------------------------------------------

  void on_futex(const model::OnFutex& on) {
    using Role = model::OnFutex::Role;
    if (on.role != Role::kUnknown && on.owner && on.owner_alive) {
      // Who looks again whether a monitor is free cannot have it before its owner leaves it.
      if (on.role == Role::kMonitor && node_.wait.polling) node_.timer = false;
      if (*on.owner == node_.tid()) {
        node_.waits_for_itself = true;
        return;
      }
      if (const auto owner = view_.find(*on.owner)) {
        node_.releases.push_back(
            {std::nullopt, *owner, on.futex,
             on.role == Role::kJoin ? "is the thread waited for" : "owns the lock"});
      } else {
        opaque(fmt::format("thread {} owns the lock but was not looked at", *on.owner));
      }
      return;
    }
    work_in_ring(*node_.process, "the memory of the futex");
    if (on.is_private) {
      static constexpr std::string_view kWhy = "shares the memory of the futex";
      const auto sharing = view_.sharing.find(node_.process->address_space);
      if (sharing == view_.sharing.end()) {
        add_process(node_.pid(), on.futex, std::string(kWhy));
        return;
      }
      for (const base::Pid pid : sharing->second) add_process(pid, on.futex, std::string(kWhy));
      return;
    }
    if (on.sharers.empty()) opaque("which processes map the shared futex is not known");
    for (const base::Pid sharer : on.sharers) {
      if (view_.now.find(sharer) == nullptr) {
        opaque(fmt::format("process {} maps the shared futex but was not looked at", sharer));
        continue;
      }
      add_process(sharer, on.futex, "maps the shared futex");
    }
  }

  const GraphView& view_;
  Node& node_;
};

}  // namespace

void derive_releasers(const GraphView& view, Node& node) {
  Derivation(view, node).run();
}

std::optional<base::Nanoseconds> time_left(const Node& node,
                                           std::optional<base::Instant> waiting_since,
                                           base::Instant now) {
  using Optional = std::optional<base::Nanoseconds>;
  const auto not_negative = [](base::Nanoseconds left) {
    return Optional{std::max(left, base::Nanoseconds{0})};
  };
  const model::Wait& wait = node.wait;
  if (wait.remaining) return not_negative(*wait.remaining);
  if (node.thread->runtime_deadline) return not_negative(*node.thread->runtime_deadline);
  // The next turn of a loop ends nothing.
  if (wait.polling || node.motion == Motion::kHeartbeat) return std::nullopt;
  if (!wait.timeout) return std::nullopt;
  if (waiting_since) return not_negative(*wait.timeout - (now - *waiting_since));
  return not_negative(*wait.timeout);
}

}  // namespace stucktrace::diagnose
