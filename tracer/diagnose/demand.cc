#include "tracer/diagnose/demand.h"

#include <algorithm>

#include "tracer/diagnose/phases.h"

namespace stucktrace::diagnose {
namespace {

using model::OnFd;
using model::OnFutex;
using model::ResourceKind;
using model::WaitKind;

template <class T>
const T* only(const model::Wait& wait) {
  return wait.on.size() == 1 ? std::get_if<T>(&wait.on.front()) : nullptr;
}

bool is_stream(const OnFd& on) {
  switch (on.resource.kind) {
    case ResourceKind::kPipe:
    case ResourceKind::kUnixSocket:
    case ResourceKind::kTcpSocket:
      return true;
    default:
      return false;
  }
}

// A poll of one pipe that only child processes can write or close: multiprocessing's sentinel. It
// may as well be a channel, so that without the caller's frames it counts as data.
bool only_children_hold(const Graph& graph, const Node& node) {
  return !node.releases.empty() && std::ranges::all_of(node.releases, [&](const Release& release) {
    if (!release.group) return false;
    const model::Process& holder = *graph[graph.group(*release.group)[0]].process;
    return holder.parent == node.pid();
  });
}

Demand futex_demand(const Node& node, const OnFutex& futex) {
  using Role = OnFutex::Role;
  if (futex.role == Role::kJoin && futex.owner) return Demand::kCompletion;
  if (futex.role != Role::kUnknown && futex.owner) return Demand::kLock;
  // A runtime's own join is a plain lock to the kernel; its frames tell.
  if (frame_wait(*node.thread) == FrameWait::kThreadJoin) return Demand::kCompletion;
  return Demand::kWakeup;
}

}  // namespace

bool writes_pipe(const Node& node) {
  const OnFd* fd = delivery_fd(node);
  return fd != nullptr &&
         (fd->resource.kind == ResourceKind::kPipe || fd->resource.kind == ResourceKind::kFifo);
}

const OnFd* first_fd(const Node& node) {
  for (const model::WaitOn& on : node.wait.on) {
    if (const auto* fd = std::get_if<OnFd>(&on)) return fd;
  }
  return nullptr;
}

const OnFd* delivery_fd(const Node& node) {
  switch (node.wait.kind) {
    case WaitKind::kPipeWrite:
    case WaitKind::kUnixWrite:
    case WaitKind::kTcpWrite:
      return first_fd(node);
    case WaitKind::kMsgQueue: {
      const auto* fd = first_fd(node);
      return fd != nullptr && model::writes(fd->direction) ? fd : nullptr;
    }
    case WaitKind::kMultiplex: {
      // poll(2) for room alone is the non-blocking form of the same write.
      const auto* fd = only<OnFd>(node.wait);
      const bool room = fd != nullptr && fd->direction == model::FdMode::kWrite && is_stream(*fd);
      return room ? fd : nullptr;
    }
    default:
      return nullptr;
  }
}

bool is_request(const Graph& graph, const Node& node) {
  if (node.wait.kind == WaitKind::kConnect) return true;
  const auto& resources = graph.snapshot().resources;
  return std::ranges::any_of(node.wait.on, [&](const model::WaitOn& on) {
    const auto* fd = std::get_if<OnFd>(&on);
    if (fd == nullptr || !model::reads(fd->direction)) return false;
    const auto own = resources.find(fd->resource);
    if (own == resources.end() || !own->second.peer) return false;
    const auto peer = resources.find(*own->second.peer);
    return peer != resources.end() && peer->second.unaccepted;
  });
}

const OnFutex* futex_of(const Node& node) {
  for (const model::WaitOn& on : node.wait.on) {
    if (const auto* futex = std::get_if<OnFutex>(&on)) return futex;
  }
  return nullptr;
}

Demand demand_of(const Graph& graph, NodeIndex index) {
  const Node& node = graph[index];
  const model::Wait& wait = node.wait;
  if (node.motion == Motion::kRunning) return Demand::kNone;
  if (delivery_fd(node) != nullptr) return Demand::kDelivery;
  if (is_nap(wait)) return Demand::kNap;
  if (is_request(graph, node)) return Demand::kRequest;
  if (wait.on.size() != 1) return Demand::kWakeup;
  if (only<model::OnChildren>(wait) != nullptr || only<model::OnTask>(wait) != nullptr) {
    return Demand::kCompletion;
  }
  if (only<model::OnLock>(wait) != nullptr) return Demand::kLock;
  if (const auto* futex = only<OnFutex>(wait)) return futex_demand(node, *futex);
  const auto* fd = only<OnFd>(wait);
  if (fd == nullptr || !is_stream(*fd)) return Demand::kWakeup;
  if (wait.kind == WaitKind::kMultiplex && only_children_hold(graph, node) &&
      frame_wait(*node.thread) == FrameWait::kChildWait) {
    return Demand::kCompletion;
  }
  return Demand::kData;
}

}  // namespace stucktrace::diagnose
