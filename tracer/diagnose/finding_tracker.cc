#include "tracer/diagnose/finding_tracker.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "syscalls/io.h"
#include "tracer/diagnose/rule.h"

namespace stucktrace::diagnose {
namespace {

using model::Finding;
using model::FindingRecord;
using syscalls::Sys;

std::size_t specificity(const Finding& finding) {
  const auto rules = all_rules();
  const auto at = std::ranges::find(rules, finding.rule, &Rule::name);
  return static_cast<std::size_t>(at - rules.begin());
}

// Two forms of one stall: the same thread at the same thing, the same pipe, or circles that share a
// thread (a thread waits in one place at a time).
bool same_stall(const Finding& a, const Finding& b) {
  if (a.lasting != b.lasting) return false;
  if (a.tid == b.tid && a.resource == b.resource) return true;
  const bool pipe = a.resource && a.resource->kind != model::ResourceKind::kFutex;
  if (pipe && a.resource == b.resource) return true;
  return std::ranges::any_of(
      a.cycle, [&](base::Tid tid) { return std::ranges::find(b.cycle, tid) != b.cycle.end(); });
}

// The newer form takes the place of the older one unless it says less.
bool replaces(const Finding& newer, const Finding& older) {
  if (newer.certainty != older.certainty) return newer.certainty < older.certainty;
  return specificity(newer) <= specificity(older);
}

base::Instant start_of(const Finding& finding, base::Instant now, const History* history) {
  const auto line = std::ranges::find(finding.chain, finding.tid, &model::ChainLink::tid);
  if (line != finding.chain.end() && line->since) return now + -*line->since;
  if (history != nullptr) {
    if (const auto start = history->call_start(finding.tid)) return *start;
  }
  return now;
}

// A turn of a polling loop, or a call the kernel restarts by itself (ERESTARTSYS and its like never
// reach the program): the thread is where it was.
bool ends_nothing(const model::SyscallExit& exit) {
  constexpr std::int64_t kFirstRestart = -516;
  constexpr std::int64_t kLastRestart = -512;
  if (exit.result.value >= kFirstRestart && exit.result.value <= kLastRestart) return true;
  const auto& args = exit.call.args;
  switch (syscalls::sys_of(exit.call.abi, exit.call.number)) {
    case Sys::nanosleep:
    case Sys::clock_nanosleep:
    case Sys::sched_yield:
      return true;
    case Sys::wait4:
      return exit.result.value == 0;
    case Sys::select:
    case Sys::pselect6:
      return args[1] == 0 && args[2] == 0 && args[3] == 0;
    case Sys::poll:
    case Sys::ppoll:
      return args[1] == 0;
    default:
      return false;
  }
}

// What the result of the stuck call itself tells about its end; "" nothing.
std::string told_by_result(const model::SyscallExit& exit) {
  const std::int64_t value = exit.result.value;
  if (exit.result.is_error) {
    switch (-value) {
      case EPIPE:
        return "the last reader closed its end (EPIPE)";
      case EINTR:
        return "a signal interrupted the call (EINTR)";
      case ETIMEDOUT:
        return "its own time-out";
      case ECHILD:
        return "there was no child left (ECHILD)";
      default:
        return "";
    }
  }
  switch (syscalls::sys_of(exit.call.abi, exit.call.number)) {
    case Sys::wait4:
      return value > 0 ? fmt::format("process {} changed state", value) : "";
    case Sys::poll:
    case Sys::ppoll:
    case Sys::select:
    case Sys::pselect6:
    case Sys::epoll_wait:
    case Sys::epoll_pwait:
      return value == 0 ? "its own time-out" : "";
    default:
      return "";
  }
}

}  // namespace

void FindingTracker::update(const model::Diagnosis& diagnosis, base::Instant now,
                            const History* history) {
  std::vector<bool> seen(records_.size(), false);
  for (const Finding& finding : diagnosis.findings) {
    const auto known = std::ranges::find_if(records_, [&](const FindingRecord& record) {
      return !record.resolved_at && same_stall(record.finding, finding);
    });
    if (known == records_.end()) {
      records_.push_back({finding, start_of(finding, now, history), now, now, std::nullopt, ""});
      seen.push_back(true);
      continue;
    }
    seen[static_cast<std::size_t>(known - records_.begin())] = true;
    known->last_seen = now;
    known->stalled_since = std::min(known->stalled_since, start_of(finding, now, history));
    if (replaces(finding, known->finding)) known->finding = finding;
  }
  for (std::size_t i = 0; i < records_.size(); ++i) {
    FindingRecord& record = records_[i];
    if (seen[i] || record.resolved_at) continue;
    // Not found this time: gone only if the thread visibly moved on (verdicts may just be weaker).
    const auto thread =
        std::ranges::find(diagnosis.threads, record.finding.tid, &model::ThreadAssessment::tid);
    const bool moved = record.finding.lasting || thread == diagnosis.threads.end() ||
                       thread->verdict == model::ThreadVerdict::kRunning ||
                       thread->verdict == model::ThreadVerdict::kSlow;
    if (moved) resolve(record, now, "");
  }
}

void FindingTracker::resolve(FindingRecord& record, base::Instant at, std::string by) {
  record.resolved_at = at;
  if (by.empty() && record.finding.resource) {
    const auto reader = readers_.find(*record.finding.resource);
    if (reader != readers_.end() && reader->second.at >= record.stalled_since) {
      by = reader->second.text;
    }
  }
  record.resolved_by = std::move(by);
}

std::string FindingTracker::actor(base::Tid tid) const {
  const model::TaskTree::Task* task = tasks_.find(tid);
  if (task == nullptr) return fmt::format("thread {}", tid);
  if (tid == base::main_thread(task->pid)) {
    return fmt::format("{} (pid {})", tasks_.process_role(task->pid), task->pid);
  }
  return fmt::format("{} (thread {} of pid {})", tasks_.role(tid), tid, task->pid);
}

void FindingTracker::observe(const model::Event& event) {
  tasks_.observe(event);
  if (std::holds_alternative<model::SyscallEnter>(event.data)) {
    open_[event.tid] = event.at;
  } else if (const auto* exit = std::get_if<model::SyscallExit>(&event.data)) {
    // A look tells neither how nor when exactly: samples say whether the stall is over.
    if (exit->looked_up) {
      open_.erase(event.tid);
    } else {
      on_exit(event, *exit);
    }
  } else if (const auto* ended = std::get_if<model::TaskExit>(&event.data)) {
    on_task_exit(event, *ended);
    open_.erase(event.tid);
  }
  // After the read was judged by the descriptors as they were.
  fds_.observe(event);
}

void FindingTracker::on_exit(const model::Event& event, const model::SyscallExit& exit) {
  const auto open = open_.find(event.tid);
  const base::Instant start =
      open == open_.end() ? event.at : std::exchange(open->second, std::nullopt).value_or(event.at);
  if (records_.empty()) return;
  on_read(event, exit, start);
  if (ends_nothing(exit)) return;
  for (FindingRecord& record : records_) {
    if (record.resolved_at || record.finding.tid != event.tid || record.finding.lasting) continue;
    record.last_seen = event.at;
    resolve(record, event.at, told_by_result(exit));
  }
}

void FindingTracker::on_read(const model::Event& event, const model::SyscallExit& exit,
                             base::Instant start) {
  if (exit.result.is_error || exit.result.value <= 0) return;
  if (!syscalls::is_read_like(syscalls::sys_of(exit.call.abi, exit.call.number))) return;
  for (const syscalls::PolledFd& moved : syscalls::io_fds(exit.call)) {
    if (!moved.read) continue;
    const model::FdEntry* entry = fds_.find(event.pid, moved.fd);
    if (entry == nullptr) continue;
    for (FindingRecord& record : records_) {
      if (record.finding.resource != entry->resource || record.finding.tid == event.tid) continue;
      std::string text = fmt::format("{} read the {} (fd {})", actor(event.tid),
                                     model::kind_word(entry->resource.kind), moved.fd);
      // The writer's return may be reported before the return of the read that let it go on.
      if (record.resolved_at && record.resolved_by.empty() && start <= *record.resolved_at) {
        record.resolved_by = text;
      }
      if (!record.resolved_at) readers_[entry->resource] = {event.at, std::move(text)};
    }
  }
}

void FindingTracker::on_task_exit(const model::Event& event, const model::TaskExit& exit) {
  for (FindingRecord& record : records_) {
    if (record.resolved_at || record.finding.tid != event.tid) continue;
    record.last_seen = event.at;
    resolve(record, event.at,
            exit.signaled ? fmt::format("{} was killed by {}", actor(event.tid),
                                        syscalls::signal_name(exit.code))
                          : fmt::format("{} ended", actor(event.tid)));
  }
}

std::vector<FindingRecord> FindingTracker::records() const {
  return records_;
}

std::vector<std::size_t> FindingTracker::take_new() {
  std::vector<std::size_t> fresh;
  for (; taken_ < records_.size(); ++taken_) fresh.push_back(taken_);
  return fresh;
}

}  // namespace stucktrace::diagnose
