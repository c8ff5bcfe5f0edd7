#include "tracer/engine/process_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "tracer/engine/halves.h"
#include "tracer/kernel/own_threads.h"

namespace stucktrace::engine {
namespace {

using model::FdEntry;
using model::ResourceKind;

// Names sockets by the table; true if one was not in it.
bool name_sockets(const kernel::SocketTable& table, std::vector<FdEntry>& fds) {
  bool missed = false;
  for (FdEntry& entry : fds) {
    if (entry.resource.kind != ResourceKind::kOtherSocket) continue;
    if (const auto* socket = table.find(entry.resource.inode)) {
      entry.resource.kind = socket->kind;
    } else {
      missed = true;
    }
  }
  return missed;
}

bool has_ended(char state) {
  return state == 'Z' || state == 'X' || state == 'x';
}

void read_identity(const kernel::Procfs& procfs, const kernel::TaskStat& stat,
                   model::Process& process) {
  process.parent = base::Pid{stat.parent};
  process.process_group = stat.process_group;
  process.session = stat.session;
  process.terminal = stat.tty;
  process.terminal_foreground = stat.tty_foreground;
  process.start_time = stat.start_time;
  process.state = stat.state;
  process.comm = stat.comm;
  process.argv = procfs.cmdline(process.pid).value_or(std::vector<std::string>{});
  process.exe = procfs.exe(process.pid).value_or(std::string{});
  if (const auto status = procfs.status(process.pid)) {
    process.tracer = kernel::tracer_process(status->tracer);
    process.uid = status->uid;
    process.ns_pids = status->ns_pids;
    process.caught_signals = status->sig_caught;
  } else {
    process.caught_signals = model::unknown(status.error().message());
  }
}

void read_samples(const kernel::Procfs& procfs, SampleBook& book, ProcessDraft& draft) {
  const base::Pid pid = draft.process.pid;
  const auto tids = procfs.tasks(pid).value_or(std::vector<base::Tid>{});
  std::vector<base::Result<ThreadSample>> samples(tids.size());
  const kernel::Procfs near = near_threads(procfs, pid, tids.size());
  by_halves(tids.size(), [&](std::size_t i) {
    samples[i] = sample_thread(near, pid, tids[i], book.before(tids[i]));
  });
  for (std::size_t i = 0; i < tids.size(); ++i) {
    const base::Tid tid = tids[i];
    auto& sample = samples[i];
    if (!sample) continue;
    if (!has_ended(sample->pulse.state)) draft.view.live_threads.push_back(tid);
    const auto& ns_pids = sample->ns_pids;
    if (ns_pids.size() > 1) draft.view.inner_tids[ns_pids.back()] = tid;
    book.keep(tid, *sample);
    draft.samples.emplace(tid, std::move(*sample));
  }
}

// The table of a process is gone with its main thread, even while other threads live on with it
// (pthread_exit in main); any of those still shows it.
std::optional<base::Tid> table_owner(const ProcessDraft& draft) {
  if (!has_ended(draft.process.state) || draft.view.live_threads.empty()) return std::nullopt;
  return draft.view.live_threads.front();
}

void read_descriptors(const kernel::Procfs& procfs, const KernelProbes& probes,
                      SocketCatalog& sockets, ProcessDraft& draft) {
  const base::Pid pid = draft.process.pid;
  auto fds = procfs.fds(pid, kernel::FdDetail::kLinks, table_owner(draft));
  if (!fds) {
    const bool denied = fds.error().kind == base::ErrorKind::kDenied;
    draft.process.fds = model::unknown(denied ? "no permission" : fds.error().message());
    return;
  }
  sockets.resolve(pid, *fds);
  draft.process.fds = std::move(*fds);
  draft.view.fds = &*draft.process.fds;
  if (has_ended(draft.process.state)) return;
  draft.all_tables_known = true;
  for (const base::Tid tid : draft.view.live_threads) {
    if (tid == base::main_thread(pid)) continue;
    const auto same = probes.same_fd_table(base::main_thread(pid), tid);
    if (!same) draft.all_tables_known = false;
    if (!same || *same) continue;
    auto own = procfs.fds(pid, kernel::FdDetail::kLinks, tid);
    if (!own) {
      draft.all_tables_known = false;
      continue;
    }
    sockets.resolve(pid, *own);
    draft.own_tables.emplace(tid, std::move(*own));
  }
}

}  // namespace

void SocketCatalog::resolve(base::Pid pid, std::vector<FdEntry>& fds) {
  const bool any = std::ranges::any_of(
      fds, [](const FdEntry& entry) { return entry.resource.kind == ResourceKind::kOtherSocket; });
  if (!any) return;
  if (!asked_) {
    asked_ = true;
    own_namespace_ = procfs_.link("self/ns/net").value_or(std::string{});
    seen_namespaces_.insert(own_namespace_);
    if (auto table = kernel::SocketTable::read()) table_ = std::move(*table);
  }
  if (!table_ || !name_sockets(*table_, fds)) return;
  // Not in ours: netlink and the like, or a process in another network namespace.
  const std::string below = fmt::format("{}/ns/net", pid);
  const auto its_namespace = procfs_.link(below);
  if (!its_namespace || !seen_namespaces_.insert(*its_namespace).second) return;
  auto other = kernel::SocketTable::read(procfs_.path(below));
  if (!other) return;
  table_->merge(std::move(*other));
  name_sockets(*table_, fds);
}

base::Result<std::unique_ptr<ProcessDraft>> read_process(const kernel::Procfs& procfs,
                                                         const KernelProbes& probes,
                                                         SocketCatalog& sockets, SampleBook& book,
                                                         base::Pid pid) {
  const auto stat = procfs.stat(pid);
  if (!stat) return std::unexpected(stat.error());
  auto draft = std::make_unique<ProcessDraft>();
  draft->process.pid = pid;
  read_identity(procfs, *stat, draft->process);
  draft->process.address_space = static_cast<std::uint64_t>(pid.value());
  read_samples(procfs, book, *draft);
  read_descriptors(procfs, probes, sockets, *draft);
  ProcessView& view = draft->view;
  view.pid = pid;
  view.address_space = draft->process.address_space;
  view.process_group = draft->process.process_group;
  view.terminal = draft->process.terminal;
  view.ns_pids = draft->process.ns_pids;
  return draft;
}

}  // namespace stucktrace::engine
