#include "tracer/diagnose/story.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "syscalls/table.h"
#include "tracer/base/text.h"
#include "tracer/diagnose/phases.h"

namespace stucktrace::diagnose {
namespace {

using model::WaitKind;
using syscalls::Sys;

Sys sys_of(const Node& node) {
  if (!node.thread->syscall) return Sys::kUnknown;
  const syscalls::RawCall& call = node.thread->syscall->call;
  return syscalls::sys_of(call.abi, call.number);
}

std::string in_call(const Node& node) {
  const std::string name = call_name(node);
  return name.empty() ? std::string() : fmt::format(" in {}()", name);
}

std::string children_text(const model::OnChildren& on) {
  if (on.children.size() == 1) return fmt::format("child process {}", on.children.front());
  if (on.children.size() <= 4) {
    return fmt::format("child processes {}", fmt::join(on.children, ", "));
  }
  return fmt::format("any of {} child processes", on.children.size());
}

std::string futex_text(const Node& node, const model::OnFutex& on) {
  using Role = model::OnFutex::Role;
  if (on.role == Role::kJoin && on.owner) {
    const auto& end = node.thread->awaited_end;
    const bool named = end && end->thread == *on.owner && !end->object.empty();
    return fmt::format("waits for thread {}{} to end", *on.owner,
                       named ? fmt::format(" ({})", end->object) : "");
  }
  if (on.role != Role::kUnknown && on.owner) {
    return on.owner_alive ? fmt::format("waits for a lock that thread {} owns", *on.owner)
                          : fmt::format("waits for a lock whose owner {} is gone", *on.owner);
  }
  switch (frame_wait(*node.thread)) {
    case FrameWait::kThreadJoin:
      return "waits for a thread to end (join)";
    case FrameWait::kLock:
      return "waits for a lock or a condition";
    default:
      return on.is_private ? "waits to be woken by another thread of its process"
                           : "waits for a lock or semaphore shared among processes";
  }
}

std::string multiplex_text(const Node& node) {
  const model::OnFd* fd = first_fd(node);
  if (fd != nullptr && node.wait.on.size() == 1) {
    const std::string_view event = model::writes(fd->direction) ? "room" : "data or end of file";
    return fmt::format("waits{} for {} on fd {}", in_call(node), event, fd->fd);
  }
  if (node.wait.on.empty()) return fmt::format("sleeps{}", in_call(node));
  return fmt::format("waits{} for any of {} things", in_call(node), node.wait.on.size());
}

std::string kind_text(const Node& node) {
  const model::Wait& wait = node.wait;
  if (const model::OnFutex* futex = futex_of(node)) return futex_text(node, *futex);
  const model::OnFd* fd = first_fd(node);
  const std::string number = fd == nullptr ? "" : fmt::format(" (fd {})", fd->fd);
  switch (wait.kind) {
    case WaitKind::kRunning:
      return "is running";
    case WaitKind::kPipeRead:
    case WaitKind::kUnixRead:
    case WaitKind::kTcpRead:
      return fmt::format("waits{} for data or end of file{}", in_call(node), number);
    case WaitKind::kChildWait:
      if (const auto* on =
              wait.on.empty() ? nullptr : std::get_if<model::OnChildren>(&wait.on.front())) {
        if (wait.polling) {
          return fmt::format("asks again and again whether {} has ended ({})", children_text(*on),
                             wait.polling_text);
        }
        return fmt::format("waits{} for {} to end", in_call(node), children_text(*on));
      }
      return "waits for a child process to end";
    case WaitKind::kVfork:
      return "waits for its vfork child to exec or end";
    case WaitKind::kFileLock:
      return fmt::format("waits{} for a file lock", in_call(node));
    case WaitKind::kMultiplex:
      return multiplex_text(node);
    case WaitKind::kSleep:
      return fmt::format("sleeps{}", in_call(node));
    case WaitKind::kStopped:
      return node.thread->state == 't' ? "is stopped by its tracer" : "is stopped by a signal";
    case WaitKind::kTtyRead:
      return "waits for the terminal's user";
    default:
      return fmt::format("waits{} ({})", in_call(node), model::to_string(wait.kind));
  }
}

// Ancestors first: the process on the cycle whose parent is on none of its other steps.
std::size_t outermost(const RuleContext& context, const std::vector<NodeIndex>& cycle) {
  const auto is_on_cycle = [&](base::Pid pid) {
    return std::ranges::any_of(cycle, [&](NodeIndex i) { return context.graph[i].pid() == pid; });
  };
  for (std::size_t i = 0; i < cycle.size(); ++i) {
    const Node& node = context.graph[cycle[i]];
    const Node& previous = context.graph[cycle[(i + cycle.size() - 1) % cycle.size()]];
    // Entered from another process, so that the threads of one process stay together.
    if (!is_on_cycle(node.process->parent) && previous.pid() != node.pid()) return i;
  }
  return 0;
}

constexpr std::size_t kMaxReleasersShown = 4;

}  // namespace

std::string process_name(const model::Process& process) {
  const std::string name = process.comm.empty() ? std::string("process") : process.comm;
  return process.role.empty() ? fmt::format("{} (pid {})", name, process.pid)
                              : fmt::format("{} {} (pid {})", process.role, name, process.pid);
}

std::string process_short(const model::Process& process) {
  return process.role.empty() ? fmt::format("pid {}", process.pid) : process.role;
}

std::string thread_name(const Node& node) {
  if (node.tid() == base::main_thread(node.pid())) return "main thread";
  const model::Thread& thread = *node.thread;
  const std::string& name =
      !thread.name.empty() || thread.comm == node.process->comm ? thread.name : thread.comm;
  return name.empty() ? fmt::format("thread {}", thread.tid)
                      : fmt::format("thread {} ({})", thread.tid, name);
}

std::string who(const Node& node) {
  const bool alone = node.process->threads.size() == 1;
  return alone ? process_name(*node.process)
               : fmt::format("{}, {}", process_name(*node.process), thread_name(node));
}

std::string call_name(const Node& node) {
  if (!node.thread->syscall) return "";
  const syscalls::RawCall& call = node.thread->syscall->call;
  const syscalls::SyscallRow* row = syscalls::find_row(call.abi, call.number);
  return row == nullptr ? std::string() : std::string(row->name);
}

std::optional<std::uint64_t> asked_to_write(const Node& node) {
  switch (sys_of(node)) {
    case Sys::write:
    case Sys::pwrite64:
    case Sys::sendto:
      return node.thread->syscall->call.args[2];
    default:
      return std::nullopt;
  }
}

std::string for_how_long(const RuleContext& context, NodeIndex index) {
  const auto duration = waited(context.samples, context.graph[index]);
  return duration ? " for " + base::human_duration(*duration) : std::string();
}

std::string what(const RuleContext& context, NodeIndex index) {
  const Node& node = context.graph[index];
  if (delivery_fd(node) == nullptr) return kind_text(node);
  const std::string name = call_name(node);
  std::string text = "is blocked";
  text += name.empty() ? std::string(" writing") : fmt::format(" in {}()", name);
  const auto bytes = asked_to_write(node);
  if (!bytes) return text;
  text += " of " + base::human_bytes(*bytes);
  const auto found = context.samples.now.resources.find(delivery_fd(node)->resource);
  if (found == context.samples.now.resources.end() || !found->second.capacity) return text;
  const std::uint64_t capacity = *found->second.capacity;
  if (*bytes > capacity) {
    text += fmt::format(" (at least {} of them still to be written)",
                        base::human_bytes(*bytes - capacity));
  }
  return text;
}

std::string resource_text(const RuleContext& context, const model::ResourceId& id) {
  const auto found = context.samples.now.resources.find(id);
  std::string text = model::to_string(id);
  if (found == context.samples.now.resources.end()) return text;
  const model::Resource& resource = found->second;
  const bool pipe = id.kind == model::ResourceKind::kPipe || id.kind == model::ResourceKind::kFifo;
  std::string state;
  if (pipe && resource.queued && resource.capacity) {
    std::string unread = base::human_bytes(*resource.queued);
    unread.resize(unread.find_last_of(' '));
    state = fmt::format("{} of {} unread", unread, base::human_bytes(*resource.capacity));
  } else if (resource.queued) {
    state = base::human_bytes(*resource.queued) + " unread";
  }
  if (resource.full.value_or(false)) state += state.empty() ? "full" : ", full";
  return state.empty() ? text : fmt::format("{} ({})", text, state);
}

std::string time_out_text(const Case& found) {
  if (found.certainty != model::Certainty::kUntil) return "";
  return found.resolves_in
             ? fmt::format(" (time-out in {})", base::human_duration(*found.resolves_in))
             : std::string(" (its own deadline, if it has one, is not visible)");
}

model::ChainLink link(const RuleContext& context, NodeIndex index) {
  const Node& node = context.graph[index];
  model::ChainLink line;
  line.pid = node.pid();
  line.tid = node.tid();
  line.who = who(node);
  line.what = what(context, index);
  if (const model::OnFd* fd = first_fd(node); fd != nullptr && node.wait.on.size() == 1) {
    line.on = resource_text(context, fd->resource);
  } else if (const model::OnFutex* futex = futex_of(node)) {
    line.on = model::to_string(futex->futex);
  }
  line.since = waited(context.samples, node);
  line.frames = telling_frames(*node.thread);
  return line;
}

std::vector<model::ChainLink> chain_of(const RuleContext& context, const Case& found) {
  std::vector<model::ChainLink> chain;
  if (!found.cycle.empty()) {
    const std::size_t first = outermost(context, found.cycle);
    for (std::size_t i = 0; i < found.cycle.size(); ++i) {
      chain.push_back(link(context, found.cycle[(first + i) % found.cycle.size()]));
    }
    return chain;
  }
  chain.push_back(link(context, found.lead));
  for (const NodeIndex index : found.closure) {
    if (index == found.lead) continue;
    if (chain.size() > kMaxReleasersShown) break;
    chain.push_back(link(context, index));
  }
  return chain;
}

OtherEnd other_end(const RuleContext& context, NodeIndex index) {
  OtherEnd end;
  const Node& node = context.graph[index];
  const model::OnFd* fd = first_fd(node);
  if (fd == nullptr) return end;
  const auto found = context.samples.now.resources.find(fd->resource);
  if (found == context.samples.now.resources.end()) return end;
  const bool pipe = fd->resource.kind == model::ResourceKind::kPipe ||
                    fd->resource.kind == model::ResourceKind::kFifo ||
                    fd->resource.kind == model::ResourceKind::kMessageQueue;
  const model::Resource* resource = &found->second;
  if (fd->resource.kind == model::ResourceKind::kSysvQueue) {
    const auto* user =
        resource->last_user ? context.samples.now.find(*resource->last_user) : nullptr;
    if (user != nullptr && user != node.process) end.processes.push_back(user);
    return end;
  }
  if (!pipe) {
    if (!resource->peer) return end;
    const auto peer = context.samples.now.resources.find(*resource->peer);
    if (peer == context.samples.now.resources.end()) return end;
    resource = &peer->second;
  }
  for (const model::Holder& holder : resource->holders) {
    const bool other = !pipe || (model::writes(fd->direction) ? model::reads(holder.mode)
                                                              : model::writes(holder.mode));
    if (!other) continue;
    if (holder.pid == node.pid()) {
      if (!end.own_fd) end.own_fd = holder.fd;
      continue;
    }
    const model::Process* process = context.samples.now.find(holder.pid);
    // Holders are sorted: the same process comes again at once or never.
    const bool again = !end.processes.empty() && end.processes.back() == process;
    if (process != nullptr && !again) end.processes.push_back(process);
  }
  return end;
}

std::string list_processes(const std::vector<const model::Process*>& processes) {
  if (processes.size() == 1) return process_name(*processes[0]);
  if (processes.size() == 2) {
    return fmt::format("{} and {}", process_name(*processes[0]), process_name(*processes[1]));
  }
  std::vector<std::int32_t> pids;
  for (const model::Process* process : processes) pids.push_back(process->pid.value());
  if (pids.size() > 5) return fmt::format("{} processes", pids.size());
  return fmt::format("{} processes (pids {})", pids.size(), fmt::join(pids, ", "));
}

}  // namespace stucktrace::diagnose
