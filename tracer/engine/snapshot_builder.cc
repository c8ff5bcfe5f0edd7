#include "tracer/engine/snapshot_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "tracer/engine/call_text.h"
#include "tracer/engine/output_tail.h"
#include "tracer/kernel/remote_memory.h"
#include "tracer/unwind/python_frames.h"
#include "tracer/unwind/stacks.h"

namespace stucktrace::engine {
namespace {

// How far from the tree, and how many in all, processes are read that could end a wait. Beyond that
// they are unknown releasers, which only ever makes a verdict weaker.
constexpr int kMaxDistance = 8;
constexpr std::size_t kMaxOutside = 512;
constexpr int kTries = 3;

bool has_ended(char state) {
  return state == 'Z' || state == 'X' || state == 'x';
}

bool is_blocked(const model::Thread& thread) {
  return thread.wait.kind != model::WaitKind::kRunning && !has_ended(thread.state);
}

}  // namespace

SnapshotBuilder::SnapshotBuilder(const kernel::Procfs& procfs, const KernelProbes& probes,
                                 const SnapshotOptions& options)
    : procfs_(procfs),
      probes_(probes),
      options_(options),
      started_(clock_.now()),
      sockets_(procfs),
      holders_(procfs, probes),
      resources_(procfs, holders_, notes_, sockets_),
      snapshot_(std::make_shared<model::Snapshot>()) {
  snapshot_->roots = options.roots;
}

bool SnapshotBuilder::out_of_time() {
  timed_out_ = timed_out_ || clock_.now() - started_ > options_.time_limit;
  return timed_out_;
}

bool SnapshotBuilder::read_tree() {
  // Parents before children, so that a child can be found to share its parent's memory.
  std::deque<base::Pid> waiting(options_.roots.begin(), options_.roots.end());
  while (!waiting.empty() && !out_of_time()) {
    const base::Pid pid = waiting.front();
    waiting.pop_front();
    if (drafts_.contains(pid)) continue;
    read_one(pid, 0);
    const auto draft = drafts_.find(pid);
    if (draft == drafts_.end()) continue;
    for (const auto& [tid, sample] : draft->second->samples) {
      const auto children = procfs_.children(pid, tid);
      if (children) waiting.insert(waiting.end(), children->begin(), children->end());
    }
  }
  return std::ranges::any_of(options_.roots,
                             [this](base::Pid root) { return drafts_.contains(root); });
}

void SnapshotBuilder::read_one(base::Pid pid, int distance) {
  auto draft = read_process(procfs_, probes_, sockets_, pid);
  if (!draft) return;  // ended meanwhile
  (*draft)->distance = distance;
  (*draft)->process.in_tree = distance == 0;
  share_memory_of_parent(**draft);
  drafts_[pid] = std::move(*draft);
}

void SnapshotBuilder::share_memory_of_parent(ProcessDraft& draft) {
  const auto parent = drafts_.find(draft.process.parent);
  if (parent == drafts_.end()) return;
  const auto same = probes_.same_memory(base::main_thread(draft.process.parent),
                                        base::main_thread(draft.process.pid));
  if (!same || !*same) return;
  draft.process.address_space = parent->second->process.address_space;
  draft.view.address_space = draft.process.address_space;
}

void SnapshotBuilder::read_counterparts() {
  for (const auto& [pid, draft] : drafts_) queue_.emplace_back(pid, 0);
  std::set<base::Pid> seen;
  for (const auto& [pid, draft] : drafts_) seen.insert(pid);
  std::size_t outside = 0;
  while (!queue_.empty() && !out_of_time()) {
    const auto [pid, distance] = queue_.front();
    queue_.pop_front();
    if (!drafts_.contains(pid)) {
      if (distance > kMaxDistance || ++outside > kMaxOutside) {
        unreachable_.insert(pid);
        continue;
      }
      read_one(pid, distance);
    }
    const auto at = drafts_.find(pid);
    if (at == drafts_.end()) continue;
    ProcessDraft& draft = *at->second;
    read_waits(draft);
    for (const model::Thread& thread : draft.process.threads) {
      for (const base::Pid counterpart : resources_.add_wait(pid, thread.tid, thread.wait)) {
        if (seen.insert(counterpart).second) queue_.emplace_back(counterpart, distance + 1);
      }
    }
  }
  resources_.probe_ends();
}

void SnapshotBuilder::read_waits(ProcessDraft& draft) {
  for (auto& [tid, sample] : draft.samples) {
    draft.process.threads.push_back(read_thread(draft, tid, sample));
    // A tree of thousands of threads must not outlast the limit; what is left out is told.
    if (out_of_time()) return;
  }
}

model::Thread SnapshotBuilder::read_thread(const ProcessDraft& draft, base::Tid tid,
                                           ThreadSample sample) {
  const base::Pid pid = draft.process.pid;
  const kernel::ProcessMemory memory(tid);
  ProcessView view = draft.view;
  if (const auto own = draft.own_tables.find(tid); own != draft.own_tables.end()) {
    view.fds = &own->second;
  }
  const Surroundings around{
      procfs_, clock_, probes_, holders_, notes_, sockets_.table(), options_.tracer_self};
  model::Thread thread;
  thread.tid = tid;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    thread.wait = read_wait(around, view, tid, sample, memory);
    if (stands_still(procfs_, pid, tid, sample.pulse)) break;
    // It moved: what was read may be half of one wait and half of the next.
    auto again = sample_thread(procfs_, pid, tid);
    if (!again || attempt + 1 == kTries) {
      thread.wait = model::Wait{};
      thread.wait.kind = model::WaitKind::kRunning;
      if (again) sample = std::move(*again);
      break;
    }
    sample = std::move(*again);
  }
  thread.comm = sample.comm;
  thread.state = sample.pulse.state;
  thread.start_time = sample.pulse.start_time;
  thread.counters = sample.pulse.counters;
  thread.wchan = sample.wchan;
  if (!sample.pulse.line) {
    thread.syscall = model::unknown(sample.pulse.line.error().because);
  } else if (*sample.pulse.line && thread.wait.kind != model::WaitKind::kRunning) {
    thread.syscall = **sample.pulse.line;
    if ((*sample.pulse.line)->call.number >= 0) {
      static const std::vector<model::FdEntry> kNone;
      thread.call_text =
          call_text((*sample.pulse.line)->call, memory, view.fds != nullptr ? *view.fds : kNone);
    }
  } else {
    thread.syscall = model::unknown("running");
  }
  return thread;
}

void SnapshotBuilder::read_stacks() {
  for (auto& [pid, draft] : drafts_) {
    if (!draft->process.in_tree && !options_.all_stacks) continue;
    if (out_of_time()) return;
    if (options_.python_stacks) read_python(draft->process);
    if (options_.native_stacks) read_native(draft->process);
  }
}

void SnapshotBuilder::read_python(model::Process& process) {
  const auto python = unwind::read_python(process.pid);
  if (!python) return;  // another program, or an interpreter we do not know: native frames remain
  for (const unwind::PythonThread& known : python->threads) {
    const auto thread = std::ranges::find(process.threads, known.tid, &model::Thread::tid);
    if (thread == process.threads.end()) continue;
    thread->name = known.name;
    thread->python = known.frames;
    thread->runtime_deadline = known.deadline_in;
  }
}

void SnapshotBuilder::read_native(model::Process& process) {
  unwind::NativeStacks stacks(process.pid);
  for (model::Thread& thread : process.threads) {
    if (!is_blocked(thread) || !thread.syscall) continue;
    unwind::StackResult result = stacks.stack(thread.tid);
    thread.stack = std::move(result.frames);
    thread.stack_note = std::move(result.note);
    if (out_of_time()) return;
  }
}

void SnapshotBuilder::name_roles() {
  // The roots first, then by age: the same names in every look at the same tree.
  std::vector<model::Process*> ordered;
  for (model::Process& process : snapshot_->processes) ordered.push_back(&process);
  const auto rank = [this](const model::Process* process) {
    const auto root = std::ranges::find(options_.roots, process->pid);
    const auto index = root - options_.roots.begin();
    return std::tuple{root == options_.roots.end(), index, !process->in_tree, process->start_time,
                      process->pid};
  };
  std::ranges::sort(ordered, {}, rank);
  for (std::size_t i = 0; i < ordered.size(); ++i) ordered[i]->role = fmt::format("P{}", i + 1);
}

void SnapshotBuilder::name_what_was_not_seen() {
  std::vector<std::string>& sentences = snapshot_->could_not_see;
  for (const model::Process& process : snapshot_->processes) {
    if (has_ended(process.state)) continue;
    const bool blind = std::ranges::any_of(process.threads, [](const model::Thread& thread) {
      return !thread.syscall && thread.syscall.error().because == "no ptrace permission";
    });
    if (blind || (!process.fds && process.fds.error().because == "no permission")) {
      sentences.push_back(
          fmt::format("process {} belongs to uid {}: its system calls and descriptors cannot be "
                      "read without ptrace permission",
                      process.pid, process.uid));
    }
  }
  if (!snapshot_->resources.empty() && !holders_.unreadable().empty()) {
    sentences.push_back(fmt::format(
        "the descriptors of {} other process{} cannot be read: any of them may hold an end of a "
        "pipe or socket",
        holders_.unreadable().size(), holders_.unreadable().size() == 1 ? "" : "es"));
  }
  if (!unreachable_.empty()) {
    sentences.push_back(
        fmt::format("{} more processes hold ends of what is waited for and were "
                    "not looked at",
                    unreachable_.size()));
  }
  if (timed_out_) {
    sentences.push_back(fmt::format("the look was ended after {} s, before it was complete",
                                    std::chrono::duration<double>(options_.time_limit).count()));
  }
}

std::shared_ptr<model::Snapshot> SnapshotBuilder::finish() {
  for (auto& [pid, draft] : drafts_) {
    model::Process& process = draft->process;
    if (process.in_tree && process.fds) {
      process.output_tails = read_output_tails(procfs_, pid, *process.fds);
    }
    std::ranges::sort(process.threads, {}, [&](const model::Thread& thread) {
      return std::pair{thread.tid != base::main_thread(pid), thread.tid};
    });
  }
  std::vector<const model::Process*> read;
  for (const auto& [pid, draft] : drafts_) read.push_back(&draft->process);
  resources_.add_terminal_holders(read);
  snapshot_->resources = resources_.take();
  for (auto& [pid, draft] : drafts_) snapshot_->processes.push_back(std::move(draft->process));
  snapshot_->taken_at = clock_.now();
  snapshot_->taken_wall = clock_.wall();
  name_roles();
  name_what_was_not_seen();
  return std::move(snapshot_);
}

}  // namespace stucktrace::engine
