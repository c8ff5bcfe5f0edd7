#include "tracer/diagnose/history.h"

#include <fmt/format.h>

#include "syscalls/io.h"

namespace stucktrace::diagnose {
namespace {

using model::ResourceKind;

bool can_be_shared(const model::FdEntry& entry) {
  switch (entry.resource.kind) {
    case ResourceKind::kPipe:
    case ResourceKind::kUnixSocket:
    case ResourceKind::kTcpSocket:
      return true;
    default:
      return false;
  }
}

// Loops are made of calls that end quickly; payloads are of no use to them.
void drop_payload(model::Call& call) {
  if (syscalls::is_write_like(call.sys()) && syscalls::io_fd(call.raw)) call.memory.clear();
}

}  // namespace

History::History(AnnouncePhrases phrases) : phrases_(std::move(phrases)) {}

AnnounceDetector& History::detector(base::Pid pid) {
  return detectors_.try_emplace(pid, phrases_).first->second;
}

void History::note_job(const model::Event& event) {
  if (const auto* seen = std::get_if<model::TaskSeen>(&event.data); seen != nullptr && !job_) {
    job_ = {event.pid, seen->comm, event.at, {}};
    job_launched_ = !seen->at_attach;
    for (const model::FdEntry& entry : seen->fds) {
      if (entry.fd == 1 || entry.fd == 2) job_->outputs.push_back(entry);
    }
  } else if (std::holds_alternative<model::TaskExit>(event.data) && job_ && !job_ended_ &&
             event.tid == base::main_thread(job_->pid)) {
    job_ended_ = true;
    job_->ended = event.at;
  }
}

std::optional<GoneJob> History::gone_job() const {
  return job_launched_ && job_ended_ ? job_ : std::nullopt;
}

void History::observe(const model::Event& event) {
  note_job(event);
  if (const auto* made = std::get_if<model::NewTask>(&event.data)) {
    if (made->kind != model::NewTaskKind::kThread) detector(event.pid).retract();
  } else if (std::holds_alternative<model::Exec>(event.data)) {
    detector(event.pid).retract();
    loops_.erase(event.tid);
  } else if (const auto* exit = std::get_if<model::SyscallExit>(&event.data)) {
    for (const model::FdEntry& entry : exit->made_fds) {
      if (can_be_shared(entry)) note_maker(entry.resource, event.pid);
    }
  }
  // A write is judged by the descriptors as they are when it returns: pair first, then follow.
  model::Call* call = calls_.observe(event);
  if (call != nullptr) completed(*call);
  fds_.observe(event);
  if (std::holds_alternative<model::TaskExit>(event.data)) {
    loops_.erase(event.tid);
    if (event.tid == base::main_thread(event.pid)) detectors_.erase(event.pid);
    return;
  }
  if (call == nullptr) return;
  drop_payload(*call);
  loops_[call->tid].add(std::move(*call));
}

void History::note_maker(const model::ResourceId& resource, base::Pid pid) {
  constexpr std::size_t kMost = 16384;
  if (!makers_.try_emplace(resource, pid).second) return;
  made_.push_back(resource);
  if (made_.size() <= kMost) return;
  makers_.erase(made_.front());
  made_.pop_front();
}

void History::completed(const model::Call& call) {
  if (!call.result || call.result->is_error || call.result->value <= 0) return;
  const syscalls::Sys sys = call.sys();
  if (syscalls::is_write_like(sys)) note_output(call);
  if (syscalls::is_read_like(sys)) note_input(call);
}

void History::note_output(const model::Call& call) {
  const std::optional<int> fd = syscalls::io_fd(call.raw);
  if (!fd || !fds_.is_output(call.pid, *fd)) return;
  const auto bytes = syscalls::written_bytes(call.raw, call.result->value, call.memory);
  AnnounceDetector& output = detector(call.pid);
  if (!bytes) {
    output.lost_output(*fd);
    return;
  }
  output.write(*fd, *bytes, call.end.value_or(call.start));
  // Only the head of a large buffer is captured: what the last line was is then not known.
  if (bytes->size() < static_cast<std::uint64_t>(call.result->value)) output.lost_output(*fd);
}

void History::note_input(const model::Call& call) {
  for (const syscalls::PolledFd& moved : syscalls::io_fds(call.raw)) {
    if (!moved.read) continue;
    const model::FdEntry* entry = fds_.find(call.pid, moved.fd);
    if (entry != nullptr && model::is_work(*entry)) detector(call.pid).retract();
  }
}

std::optional<model::Announcement> History::announcement(base::Pid pid) const {
  const auto found = detectors_.find(pid);
  if (found == detectors_.end()) return std::nullopt;
  std::optional<model::Announcement> announced = found->second.current();
  if (announced) {
    const std::string_view stream = announced->fd == 1   ? "stdout"
                                    : announced->fd == 2 ? "stderr"
                                                         : "an output descriptor";
    announced->evidence = fmt::format("written to {} (fd {})", stream, announced->fd);
  }
  return announced;
}

std::optional<base::Instant> History::call_start(base::Tid tid) const {
  const model::Call* open = calls_.open_call(tid);
  if (open == nullptr || open->open_at_attach) return std::nullopt;
  return open->start;
}

std::optional<model::Loop> History::loop(base::Tid tid) const {
  const auto found = loops_.find(tid);
  return found == loops_.end() ? std::nullopt : found->second.current();
}

std::optional<base::Pid> History::maker(const model::ResourceId& resource) const {
  const auto found = makers_.find(resource);
  if (found == makers_.end()) return std::nullopt;
  return found->second;
}

}  // namespace stucktrace::diagnose
