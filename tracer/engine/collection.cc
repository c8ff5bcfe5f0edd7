#include "tracer/engine/collection.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <ranges>
#include <tuple>
#include <utility>

#include "tracer/base/text.h"
#include "tracer/engine/call_text.h"
#include "tracer/engine/halves.h"
#include "tracer/engine/java_waits.h"
#include "tracer/engine/output_tail.h"
#include "tracer/kernel/remote_memory.h"

namespace stucktrace::engine {
namespace {

using model::WaitKind;

constexpr std::size_t kMaxTree = 20000;
// How far and wide to follow other ends out of the tree. An event loop is connected to half of the
// machine, so it is followed less far.
constexpr std::size_t kMaxTakenIn = 256;
constexpr int kMaxDistance = 8;
constexpr int kMaxLoopDistance = 2;
constexpr int kRetries = 2;
constexpr std::size_t kManyThreads = 128;

bool has_ended(char state) {
  return state == 'Z' || state == 'X' || state == 'x';
}

model::Thread as_thread(base::Tid tid, const ThreadSample& sample) {
  model::Thread thread;
  thread.tid = tid;
  thread.comm = sample.comm;
  thread.state = sample.pulse.state;
  thread.start_time = sample.pulse.start_time;
  thread.counters = sample.pulse.counters;
  thread.wchan = sample.wchan;
  if (!sample.pulse.line) {
    thread.syscall = model::unknown(sample.pulse.line.error().because);
  } else if (*sample.pulse.line) {
    thread.syscall = **sample.pulse.line;
  } else {
    thread.syscall = model::unknown("running");
  }
  return thread;
}

// What was read of it holds only if it has not.
bool may_move(const model::Thread& thread) {
  return !has_ended(thread.state) && thread.wait.kind != WaitKind::kRunning;
}

}  // namespace

Collection::Collection(const kernel::Procfs& procfs, const base::Clock& clock,
                       const KernelProbes& probes, const SnapshotOptions& options, SampleBook& book)
    : procfs_(procfs),
      clock_(clock),
      probes_(probes),
      options_(options),
      book_(book),
      started_(clock.now()),
      started_wall_(clock.wall()),
      sockets_(procfs),
      scan_(procfs, probes),
      cache_(procfs),
      resources_(procfs, scan_, notes_, sockets_) {}

bool Collection::is_late() const {
  return clock_.now() - started_ > options_.time_limit;
}

// ---- processes ---------------------------------------------------------------------------------

const std::vector<base::Pid>& Collection::children_by_parent(base::Pid parent) {
  if (!by_parent_read_) {
    by_parent_read_ = true;
    for (const base::Pid pid : procfs_.processes().value_or(std::vector<base::Pid>{})) {
      if (const auto stat = procfs_.stat(pid)) by_parent_[base::Pid{stat->parent}].push_back(pid);
    }
  }
  return by_parent_[parent];
}

// Each thread has a list of the children it made; kernels without those lists tell only the parent.
// For a process of many threads one look at everybody's parent is cheaper, too.
std::vector<base::Pid> Collection::children_of(const ProcessDraft& draft) {
  if (draft.samples.size() > kManyThreads) return children_by_parent(draft.process.pid);
  std::vector<base::Pid> children;
  bool listed = draft.samples.empty();
  for (const auto& [tid, sample] : draft.samples) {
    const auto own = procfs_.children(draft.process.pid, tid);
    if (!own) continue;
    listed = true;
    children.insert(children.end(), own->begin(), own->end());
  }
  return listed ? children : children_by_parent(draft.process.pid);
}

// A vfork child, or one made with CLONE_VM, lives in its parent's memory until it executes. Threads
// of the one can wake those of the other, so a parent that was not looked at has to be.
void Collection::share_address_space(ProcessDraft& draft, bool look_for_parent) {
  auto parent = drafts_.find(draft.process.parent);
  const bool missing = parent == drafts_.end();
  if ((missing && !look_for_parent) || !draft.process.parent) return;
  if (has_ended(draft.process.state)) return;
  const auto same = probes_.same_memory(base::main_thread(draft.process.parent),
                                        base::main_thread(draft.process.pid));
  if (!same || !*same) return;
  if (missing) {
    if (take_in(draft.process.parent, draft.distance + 1) == nullptr) return;
    parent = drafts_.find(draft.process.parent);
  }
  draft.process.address_space = parent->second->process.address_space;
  draft.view.address_space = draft.process.address_space;
}

std::string Collection::describe_unreadable(const ProcessDraft& draft) const {
  const model::Process& process = draft.process;
  const std::string who =
      fmt::format("process {} ({})", process.pid, base::escape_text(process.comm, 64));
  if (process.uid != ::getuid() && ::geteuid() != 0) {
    return fmt::format(
        "{} belongs to another user (uid {}): its descriptors, system calls and "
        "memory could not be read",
        who, process.uid);
  }
  return fmt::format("{}: its descriptors could not be read ({})", who,
                     process.fds.error().because);
}

ProcessDraft* Collection::take_in(base::Pid pid, int distance) {
  auto draft = read_process(procfs_, probes_, sockets_, book_, pid);
  if (!draft) return nullptr;
  ProcessDraft& taken = **draft;
  taken.distance = distance;
  taken.process.in_tree = distance == 0;
  if (taken.process.tracer == options_.tracer_self.value()) taken.process.tracer = 0;
  share_address_space(taken, distance > 0);
  if (!taken.process.fds && taken.process.fds.error().because == "no permission") {
    could_not_see(describe_unreadable(taken));
  }
  if (taken.all_tables_known) {
    const auto own = std::views::keys(taken.own_tables);
    scan_.knows_thread_tables(pid, {own.begin(), own.end()});
  }
  drafts_.emplace(pid, std::move(*draft));
  unread_.push_back(pid);
  return &taken;
}

bool Collection::read_tree() {
  std::deque<base::Pid> queue{options_.roots.begin(), options_.roots.end()};
  while (!queue.empty()) {
    const base::Pid pid = queue.front();
    queue.pop_front();
    if (drafts_.contains(pid)) continue;
    if (drafts_.size() >= kMaxTree || (is_late() && !drafts_.empty())) {
      could_not_see("the tree was not read to its end: too large, or the time limit had passed");
      break;
    }
    const ProcessDraft* draft = take_in(pid, 0);
    if (draft == nullptr) {
      const bool is_root = std::ranges::find(options_.roots, pid) != options_.roots.end();
      if (is_root) could_not_see(fmt::format("process {} does not exist", pid));
      continue;
    }
    for (const base::Pid child : children_of(*draft)) queue.push_back(child);
  }
  take_in_roommates();
  return !drafts_.empty();
}

// The parent of a root may be another root, which is why this is not done before all are there.
void Collection::take_in_roommates() {
  std::vector<ProcessDraft*> alone;
  for (const auto& [pid, draft] : drafts_) {
    if (!drafts_.contains(draft->process.parent)) alone.push_back(draft.get());
  }
  for (ProcessDraft* draft : alone) share_address_space(*draft, true);
}

// ---- waits -------------------------------------------------------------------------------------

Surroundings Collection::surroundings() {
  return {procfs_, clock_, probes_, scan_, notes_, cache_, sockets_.table(), options_.tracer_self};
}

model::Thread Collection::read_thread(const ProcessDraft& draft, base::Tid tid,
                                      const ThreadSample& sample) {
  const kernel::ProcessMemory memory{tid};
  static const std::vector<model::FdEntry> kNoFds;
  ProcessView view = draft.view;
  const auto own_table = draft.own_tables.find(tid);
  if (own_table != draft.own_tables.end()) view.fds = &own_table->second;
  model::Thread thread = as_thread(tid, sample);
  thread.wait = read_wait(surroundings(), view, tid, sample, memory);
  if (thread.syscall && thread.syscall->call.number >= 0) {
    thread.call_text =
        call_text(thread.syscall->call, memory, view.fds != nullptr ? *view.fds : kNoFds);
  }
  return thread;
}

// A thread that has moved while its wait was read.
void Collection::read_again(const ProcessDraft& draft, const kernel::Procfs& near,
                            model::Thread& thread) {
  const base::Tid tid = thread.tid;
  for (int attempt = 0;; ++attempt) {
    const auto sample = sample_thread(near, draft.process.pid, tid);
    if (!sample || attempt == kRetries) {
      // It moves, or has just ended: either way it waits for nothing.
      thread.wait = {};
      thread.wait.kind = sample ? WaitKind::kRunning : WaitKind::kOther;
      if (!sample) thread.state = 'X';
      return;
    }
    thread = read_thread(draft, tid, *sample);
    if (!may_move(thread)) return;
    if (stands_still(near, draft.process.pid, tid, sample->pulse)) {
      pulses_.insert_or_assign(tid, sample->pulse);
      return;
    }
  }
}

std::function<std::vector<char>(std::span<const base::Tid>)> Collection::standing(
    const model::Process& process) {
  return
      [this, pid = process.pid, near = near_threads(procfs_, process.pid, process.threads.size())](
          std::span<const base::Tid> tids) {
        std::vector<char> stood(tids.size());
        by_halves(tids.size(), [&](std::size_t i) {
          const auto before = pulses_.find(tids[i]);
          stood[i] = static_cast<char>(before != pulses_.end() &&
                                       stands_still(near, pid, tids[i], before->second));
        });
        for (std::size_t i = 0; i < tids.size(); ++i) {
          if (stood[i] != 0) stood_.insert(tids[i]);
        }
        return stood;
      };
}

std::vector<base::Tid> Collection::drop_waits_of_the_past(model::Process& process) const {
  const kernel::Procfs near = near_threads(procfs_, process.pid, process.threads.size());
  std::vector<base::Tid> moved;
  for (model::Thread& thread : process.threads) {
    const auto before = pulses_.find(thread.tid);
    if (before == pulses_.end() || has_ended(thread.state)) continue;
    // Who naps in a loop is told by what comes between the naps, and by the frames around them.
    if (thread.wait.kind == WaitKind::kSleep) continue;
    // What an interpreter says was read later.
    if (!process.interpreter && stood_.contains(thread.tid)) continue;
    if (stands_still(near, process.pid, thread.tid, before->second)) continue;
    moved.push_back(thread.tid);
    // Likewise who waits again and again for a limited time.
    if (thread.wait.timeout) continue;
    thread.wait = {};
    thread.wait.kind = WaitKind::kRunning;
  }
  return moved;
}

void Collection::widen(const ProcessDraft& draft, const model::Thread& thread) {
  const int limit = thread.wait.kind == WaitKind::kMultiplex ? kMaxLoopDistance : kMaxDistance;
  const int distance = draft.distance + 1;
  const auto releasers =
      resources_.add_wait(draft.process.pid, thread.tid, thread.wait, distance <= limit);
  for (const base::Pid pid : releasers) {
    if (drafts_.contains(pid)) continue;
    if (taken_in_ >= kMaxTakenIn) {
      could_not_see(fmt::format(
          "more than {} processes hold other ends; the rest was not looked at", kMaxTakenIn));
      return;
    }
    if (take_in(pid, distance) != nullptr) ++taken_in_;
  }
}

// Who is blocked in open() of a fifo has no descriptor of it yet, and so is found only by where it
// sleeps; which fifo it is, by the path it gave, which is looked at and not opened.
void Collection::find_fifo_openers() {
  if (fifo_openers_found_) return;
  fifo_openers_found_ = true;
  const Surroundings around = surroundings();
  for (const base::Pid pid : procfs_.processes().value_or(std::vector<base::Pid>{})) {
    if (drafts_.contains(pid)) continue;
    ProcessView view;
    view.pid = pid;
    for (const base::Tid tid : procfs_.tasks(pid).value_or(std::vector<base::Tid>{})) {
      const auto wchan = procfs_.wchan(pid, tid);
      if (!wchan || (*wchan != "wait_for_partner" && *wchan != "fifo_open")) continue;
      const auto sample = sample_thread(procfs_, pid, tid);
      if (!sample) continue;
      const model::Wait wait = read_wait(around, view, tid, *sample, kernel::ProcessMemory{tid});
      for (const model::WaitOn& on : wait.on) {
        if (const auto* fd = std::get_if<model::OnFd>(&on))
          fifo_openers_.emplace(fd->resource, pid);
      }
    }
  }
}

void Collection::take_in_openers(const model::Wait& wait) {
  find_fifo_openers();
  for (const model::WaitOn& on : wait.on) {
    const auto* fd = std::get_if<model::OnFd>(&on);
    if (fd == nullptr) continue;
    const auto [first, last] = fifo_openers_.equal_range(fd->resource);
    for (auto at = first; at != last && taken_in_ < kMaxTakenIn; ++at) {
      if (!drafts_.contains(at->second) && take_in(at->second, 1) != nullptr) ++taken_in_;
    }
  }
}

void Collection::read_process_waits(ProcessDraft& draft) {
  auto& threads = draft.process.threads;
  std::vector<Pulse> pulses;
  for (auto& [tid, sample] : draft.samples) {
    threads.push_back(read_thread(draft, tid, sample));
    pulses.push_back(std::move(sample.pulse));
  }
  draft.samples.clear();
  const kernel::Procfs near = near_threads(procfs_, draft.process.pid, threads.size());
  std::vector<char> stood(threads.size());
  by_halves(threads.size(), [&](std::size_t i) {
    stood[i] = static_cast<char>(!may_move(threads[i]) ||
                                 stands_still(near, draft.process.pid, threads[i].tid, pulses[i]));
  });
  for (std::size_t i = 0; i < threads.size(); ++i) {
    if (stood[i] == 0) {
      read_again(draft, near, threads[i]);
    } else if (threads[i].wait.kind != WaitKind::kRunning) {
      pulses_.insert_or_assign(threads[i].tid, std::move(pulses[i]));
    }
  }
  std::ranges::sort(threads, {}, [&draft](const model::Thread& thread) {
    return std::pair{thread.tid != base::main_thread(draft.process.pid), thread.tid};
  });
  name_java_owners(procfs_, draft.view, threads);
  for (const model::Thread& thread : threads) {
    widen(draft, thread);
    if (thread.wait.kind == WaitKind::kFifoOpen) take_in_openers(thread.wait);
  }
}

void Collection::read_waits() {
  while (!unread_.empty()) {
    ProcessDraft& draft = *drafts_.at(unread_.front());
    unread_.pop_front();
    if (is_late()) {
      could_not_see(
          fmt::format("the time limit had passed before process {} was read", draft.process.pid));
      for (const auto& [tid, sample] : draft.samples) {
        model::Thread thread = as_thread(tid, sample);
        thread.wait = {};
        thread.wait.on.push_back(model::OnUnknown{"the time limit had passed"});
        draft.process.threads.push_back(std::move(thread));
      }
      continue;
    }
    read_process_waits(draft);
  }
}

void Collection::read_resources() {
  resources_.probe_ends();
  std::vector<const model::Process*> all;
  for (const auto& [pid, draft] : drafts_) all.push_back(&draft->process);
  resources_.add_terminal_holders(all);
}

void Collection::read_output() {
  for (const auto& [pid, draft] : drafts_) {
    if (!draft->process.in_tree || !draft->process.fds) continue;
    draft->process.output_tails = read_output_tails(procfs_, pid, *draft->process.fds);
  }
}

// ---- result ------------------------------------------------------------------------------------

std::vector<model::Process*> Collection::processes() {
  std::vector<model::Process*> all;
  for (const auto& [pid, draft] : drafts_) all.push_back(&draft->process);
  return all;
}

void Collection::assign_roles(model::Snapshot& snapshot) const {
  std::vector<model::Process*> order;
  for (model::Process& process : snapshot.processes) order.push_back(&process);
  const auto rank = [this](const model::Process* process) {
    const auto& roots = options_.roots;
    const auto root = std::ranges::find(roots, process->pid) - roots.begin();
    return std::tuple{!process->in_tree, root, process->start_time, process->pid};
  };
  std::ranges::sort(order, {}, rank);
  for (std::size_t i = 0; i < order.size(); ++i) order[i]->role = fmt::format("P{}", i + 1);
}

model::Snapshot Collection::finish() {
  model::Snapshot snapshot;
  snapshot.taken_at = started_;
  snapshot.taken_wall = started_wall_;
  snapshot.roots = options_.roots;
  for (auto& [pid, draft] : drafts_) snapshot.processes.push_back(std::move(draft->process));
  snapshot.resources = resources_.take();
  const bool any_incomplete = std::ranges::any_of(snapshot.resources, [](const auto& entry) {
    return !entry.second.incomplete_because.empty();
  });
  if (any_incomplete && !scan_.unreadable().empty()) {
    could_not_see(
        fmt::format("the descriptors of {} other processes could not be read: one of "
                    "them may hold another end",
                    scan_.unreadable().size()));
  }
  snapshot.could_not_see.assign(missing_.begin(), missing_.end());
  assign_roles(snapshot);
  return snapshot;
}

}  // namespace stucktrace::engine
