#include "tracer/compare/things.h"

#include <fmt/format.h>

#include <algorithm>

#include "tracer/compare/call_facts.h"
#include "tracer/compare/path_text.h"

namespace stucktrace::compare {
namespace {

using model::FdEntry;
using model::ResourceId;
using model::ResourceKind;
using syscalls::Sys;

// No device of the kernel's has this number.
constexpr std::uint64_t kOwnDevice = ~std::uint64_t{0};

bool opens_a_path(Sys call) {
  return call == Sys::open || call == Sys::openat || call == Sys::openat2 || call == Sys::creat;
}

// The kernel tells of `label` what a program calls `path`, as far as that can be known from afar.
bool is_at(std::string_view path, std::string_view label) {
  while (path.starts_with("./")) path.remove_prefix(2);
  if (path == label) return true;
  return !path.empty() && !path.starts_with('/') && label.ends_with(path) &&
         label.size() > path.size() && label[label.size() - path.size() - 1] == '/';
}

// proc(5): what follows a name that was taken away while it was open.
constexpr std::string_view kDeleted = " (deleted)";

}  // namespace

bool Thing::can_block() const {
  if (standard >= 0) return true;
  switch (kind) {
    case ResourceKind::kPipe:
    case ResourceKind::kFifo:
    case ResourceKind::kUnixSocket:
    case ResourceKind::kTcpSocket:
    case ResourceKind::kOtherSocket:
    case ResourceKind::kTty:
    case ResourceKind::kPtyMaster:
    case ResourceKind::kEventFd:
    case ResourceKind::kSignalFd:
    case ResourceKind::kEpoll:
    case ResourceKind::kPidFd:
    case ResourceKind::kInotify:
    case ResourceKind::kMessageQueue:
      return true;
    default:
      return false;  // files, devices; timers are the clock
  }
}

ResourceId Things::id_of(std::size_t index, ResourceKind kind) {
  return {kind, kOwnDevice, index, 0};
}

std::optional<std::size_t> Things::index_of(const FdEntry& entry) {
  if (entry.resource.device != kOwnDevice) return std::nullopt;
  return static_cast<std::size_t>(entry.resource.inode);
}

std::size_t Things::add(Thing thing) {
  const std::size_t index = things_.size();
  by_real_[thing.real].push_back(index);
  thing.index = index;
  if (const auto name = names_.find(index); name != names_.end()) thing.name = name->second;
  things_.push_back(std::make_unique<Thing>(std::move(thing)));
  ++kept_;
  return index;
}

// A trace opens files without end; how many are open at a time, and how many there are, is bounded.
void Things::sweep() {
  std::unordered_set<std::size_t> shown;
  std::erase_if(pids_, [&](base::Pid pid) {
    const auto entries = fds_.entries(pid);
    for (const FdEntry& entry : entries) {
      if (const auto index = index_of(entry)) shown.insert(*index);
    }
    return entries.empty();
  });
  for (auto& [real, indices] : by_real_) {
    const std::size_t latest = indices.back();
    std::erase_if(indices, [&](std::size_t index) {
      const Thing& thing = *things_[index];
      if (index == latest || !thing.plain || thing.pinned || shown.contains(index)) return false;
      things_[index].reset();
      --kept_;
      return true;
    });
  }
  sweep_at_ = std::max(kFirstSweep, 2 * kept_);
}

std::string Things::numbered(const std::string& maker, ResourceKind kind) {
  return fmt::format("{}:{}#{}", maker, kind_word(kind), ++counts_[{maker, kind}]);
}

std::optional<std::size_t> Things::same_as_before(const FdEntry& entry, base::Pid pid) const {
  const FdEntry* before = fds_.find(pid, entry.fd);
  if (before == nullptr) return std::nullopt;
  const auto index = index_of(*before);
  return index && things_[*index]->real == entry.resource ? index : std::nullopt;
}

// A descriptor that was there before anybody looked.
std::size_t Things::inherited(const FdEntry& entry, base::Pid pid, const std::string& role,
                              bool is_root) {
  if (const auto same = same_as_before(entry, pid)) return *same;
  const bool standard = entry.fd >= 0 && entry.fd <= 2;
  // A terminal may be all three of the tree's standard streams: each keeps its own name, so that it
  // does not matter where a run's output goes.
  const bool own = standard && is_root;
  if (const auto known = by_real_.find(entry.resource); known != by_real_.end() && !own) {
    for (const std::size_t index : known->second) {
      if (things_[index]->standard == entry.fd) return index;
    }
    return known->second.back();
  }
  Thing thing;
  thing.kind = entry.resource.kind;
  thing.real = entry.resource;
  thing.outside = true;
  if (own) {
    constexpr const char* kNames[] = {"stdin", "stdout", "stderr"};
    thing.name = kNames[entry.fd];
    thing.standard = entry.fd;
  } else if (thing.kind == ResourceKind::kRegularFile || thing.kind == ResourceKind::kFifo ||
             thing.kind == ResourceKind::kCharDevice) {
    thing.name = quoted((*normalise_)(entry.label));
  } else if (thing.kind == ResourceKind::kTty) {
    thing.name = "tty";
  } else {
    thing.name = fmt::format("{}:fd{}", role, entry.fd);
  }
  return add(std::move(thing));
}

std::optional<std::size_t> Things::copied(const FdEntry& entry, const model::Event& event) const {
  const auto& exit = std::get<model::SyscallExit>(event.data);
  const Sys call = syscalls::sys_of(exit.call.abi, exit.call.number);
  if (call != Sys::dup && call != Sys::dup2 && call != Sys::dup3 && call != Sys::fcntl) {
    return std::nullopt;
  }
  const auto source = static_cast<int>(static_cast<std::uint32_t>(exit.call.args[0]));
  if (const FdEntry* from = fds_.find(event.pid, source)) {
    if (const auto index = index_of(*from)) return index;
  }
  const auto known = by_real_.find(entry.resource);
  if (known == by_real_.end()) return std::nullopt;
  return known->second.back();
}

std::size_t Things::made(const FdEntry& entry, Sys call, const std::string& maker) {
  const auto known = by_real_.find(entry.resource);
  Thing thing;
  thing.kind = entry.resource.kind;
  thing.real = entry.resource;
  if (opens_a_path(call)) {
    // /proc/self/fd/N and /dev/stdout open a pipe that has a name already.
    const bool channel = thing.kind == ResourceKind::kPipe || thing.kind == ResourceKind::kFifo;
    if (channel && known != by_real_.end()) {
      const Thing& latest = *things_[known->second.back()];
      if (!latest.gone || entry.label.ends_with(kDeleted)) return latest.index;
    }
    thing.name = thing.kind == ResourceKind::kTty         ? std::string{"tty"}
                 : thing.kind == ResourceKind::kPtyMaster ? numbered(maker, thing.kind)
                                                          : quoted((*normalise_)(entry.label));
    thing.plain =
        !channel && thing.kind != ResourceKind::kTty && thing.kind != ResourceKind::kPtyMaster;
    if (thing.kind == ResourceKind::kFifo) {
      name_fifo(thing, entry.label);
      thing.name = quoted((*normalise_)(thing.label));
      opened_fifos_.push_back(things_.size());
    }
  } else if (call == Sys::pidfd_getfd && known != by_real_.end()) {
    return known->second.back();
  } else {
    thing.name = numbered(maker, thing.kind);
    thing.numbered = true;
  }
  return add(std::move(thing));
}

void Things::name_fifo(Thing& thing, const std::string& label) const {
  thing.label = label;
  // Removed between the open and its report: which comes first is chance.
  if (label.ends_with(kDeleted)) thing.label.resize(label.size() - kDeleted.size());
  thing.path = thing.label;
  for (auto made = made_fifos_.rbegin(); made != made_fifos_.rend(); ++made) {
    if (!is_at(made->path, thing.label)) continue;
    thing.path = made->path;
    thing.maker = made->maker;
    thing.order = made->order;
    return;
  }
}

void Things::follow_paths(const model::Call& call, std::size_t maker, std::size_t order) {
  if (auto path = made_fifo(call)) {
    made_fifos_.push_back({std::move(*path), maker, order});
  } else if (const auto removed = removed_path(call)) {
    std::erase_if(opened_fifos_, [&](std::size_t index) {
      things_[index]->gone = is_at(*removed, things_[index]->label);
      return things_[index]->gone;
    });
  }
}

std::vector<FdEntry> Things::translated(const std::vector<FdEntry>& entries, base::Pid pid,
                                        const std::string& role, bool is_root) {
  std::vector<FdEntry> result = entries;
  for (FdEntry& entry : result) {
    const std::size_t index = inherited(entry, pid, role, is_root);
    entry.resource = id_of(
        index, things_[index]->standard >= 0 ? ResourceKind::kCharDevice : things_[index]->kind);
  }
  return result;
}

std::vector<Thing*> Things::observe(const model::Event& event, const std::string& maker,
                                    bool is_root) {
  if (kept_ >= sweep_at_) sweep();
  pids_.insert(event.pid);
  if (const auto* made = std::get_if<model::NewTask>(&event.data)) {
    pids_.insert(base::Pid{made->child.value()});
  }
  std::vector<Thing*> fresh;
  const auto pass_on = [&](auto data) {
    fds_.observe({event.sequence, event.at, event.pid, event.tid, std::move(data)});
  };
  if (const auto* seen = std::get_if<model::TaskSeen>(&event.data);
      seen != nullptr && !seen->fds.empty()) {
    model::TaskSeen copy = *seen;
    copy.fds = translated(seen->fds, event.pid, maker, is_root);
    pass_on(std::move(copy));
  } else if (const auto* exec = std::get_if<model::Exec>(&event.data);
             exec != nullptr && !exec->fds.empty()) {
    model::Exec copy = *exec;
    copy.fds = translated(exec->fds, event.pid, maker, is_root);
    pass_on(std::move(copy));
  } else if (const auto* exit = std::get_if<model::SyscallExit>(&event.data);
             exit != nullptr && !exit->made_fds.empty()) {
    model::SyscallExit copy = *exit;
    const Sys call = syscalls::sys_of(exit->call.abi, exit->call.number);
    std::optional<std::size_t> last;
    for (FdEntry& entry : copy.made_fds) {
      // The two ends of one pipe are one thing.
      if (const auto same = copied(entry, event)) {
        last = same;
      } else if (!last || things_[*last]->real != entry.resource) {
        const std::size_t before = things_.size();
        last = made(entry, call, maker);
        if (*last >= before) fresh.push_back(things_[*last].get());
      }
      entry.resource = id_of(*last, things_[*last]->kind);
    }
    if (call == Sys::socketpair && fresh.size() == 2) {
      fresh[0]->peer = fresh[1];
      fresh[1]->peer = fresh[0];
    }
    pass_on(std::move(copy));
  } else if (!std::holds_alternative<model::FdsSeen>(event.data) &&
             !std::holds_alternative<model::SyscallEnter>(event.data)) {
    // What looks found depends on when they looked.
    fds_.observe(event);
  }
  return fresh;
}

Thing* Things::find(base::Pid pid, int fd) {
  const FdEntry* entry = fds_.find(pid, fd);
  if (entry == nullptr) return nullptr;
  const auto index = index_of(*entry);
  return index ? things_[*index].get() : nullptr;
}

const Thing* Things::find(const ResourceId& real) const {
  const auto known = by_real_.find(real);
  return known == by_real_.end() ? nullptr : things_[known->second.back()].get();
}

bool Things::is_output(base::Pid pid, int fd) {
  const Thing* thing = find(pid, fd);
  return (thing != nullptr && thing->standard > 0) || fds_.is_output(pid, fd);
}

}  // namespace stucktrace::compare
