#include "tracer/engine/unseen_ends.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

namespace stucktrace::engine {
namespace {

using model::ResourceId;
using model::ResourceKind;

void sort(std::vector<TableEntry>& entries) {
  std::ranges::sort(entries, {}, [](const TableEntry& entry) {
    return std::tuple{entry.pid, entry.tid, entry.fd};
  });
}

base::Result<kernel::FdInfo> info_of(const kernel::Procfs& procfs, const TableEntry& entry) {
  const auto tid = entry.tid ? std::optional{entry.tid} : std::nullopt;
  return procfs.fdinfo(entry.pid, entry.fd, tid);
}

bool is_socket(ResourceKind kind) {
  return kind == ResourceKind::kUnixSocket || kind == ResourceKind::kTcpSocket ||
         kind == ResourceKind::kOtherSocket;
}

// May the open file that a ring names so be `id`? A path is no identity, and older kernels give the
// last part of it, which is "" for pipes and sockets.
bool may_be(const std::string& link, const ResourceId& id) {
  if (link == "<none>") return false;  // an empty place
  const ResourceId named = kernel::parse_fd_link(link);
  switch (named.kind) {
    case ResourceKind::kPipe:
      return id.kind == ResourceKind::kPipe && named.inode == id.inode;
    case ResourceKind::kOtherSocket:
      return is_socket(id.kind) && named.inode == id.inode;
    case ResourceKind::kUnknown:
      if (link.starts_with('/')) return id.kind != ResourceKind::kPipe && !is_socket(id.kind);
      return true;
    default:
      return named.kind == id.kind;
  }
}

std::string place(const TableEntry& entry) {
  return fmt::format("descriptor {} of process {}", entry.fd, entry.pid);
}

}  // namespace

UnseenEnds::UnseenEnds(const kernel::Procfs& procfs, std::vector<TableEntry> sockets,
                       std::vector<TableEntry> rings) {
  sort(sockets);
  sort(rings);
  for (const TableEntry& socket : sockets) {
    const auto info = info_of(procfs, socket);
    const std::uint64_t count = info ? info->unreceived_fds.value_or(0) : 0;
    if (count > 0) unreceived_.push_back({socket, count});
  }
  for (const TableEntry& entry : rings) {
    auto info = info_of(procfs, entry);
    if (!info) continue;  // closed meanwhile
    Ring ring{entry, true, std::move(info->registered_links)};
    // In use just now: the kernel tells nothing of it, or only how many there are.
    const bool told = info->registered_files.has_value();
    ring.all_told = told && (*info->registered_files == 0 || !ring.links.empty());
    if (!ring.all_told || !ring.links.empty()) rings_.push_back(std::move(ring));
  }
}

std::string UnseenEnds::where(const ResourceId& id) const {
  for (const Ring& ring : rings_) {
    const bool named =
        std::ranges::any_of(ring.links, [&](const auto& link) { return may_be(link, id); });
    if (named) {
      return fmt::format("the io_uring that is {} has registered files, and one may be it",
                         place(ring.entry));
    }
  }
  for (const Ring& ring : rings_) {
    if (ring.all_told) continue;
    return fmt::format("which files the io_uring that is {} has registered could not be seen",
                       place(ring.entry));
  }
  if (unreceived_.empty()) return {};
  const auto& [socket, count] = unreceived_.front();
  const std::string more =
      unreceived_.size() == 1
          ? ""
          : fmt::format(", as do others in {} more sockets", unreceived_.size() - 1);
  return fmt::format(
      "{} descriptor{} sent to socket {} ({}) and not received yet may be one of it{}", count,
      count == 1 ? "" : "s", socket.inode, place(socket), more);
}

}  // namespace stucktrace::engine
