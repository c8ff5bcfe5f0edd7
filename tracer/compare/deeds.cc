#include "tracer/compare/deeds.h"

#include <fmt/format.h>

#include <cerrno>

#include "syscalls/io.h"
#include "tracer/compare/call_facts.h"
#include "tracer/compare/call_text.h"
#include "tracer/compare/path_text.h"
#include "tracer/model/timeline.h"

namespace stucktrace::compare {
namespace {

using model::ResourceKind;
using syscalls::Sys;

// Descriptors that are looked at where a whole table is wanted.
constexpr int kMostDescriptors = 256;

class Collector {
 public:
  Collector(Roles& roles, Things& things, const Normaliser& normalise)
      : roles_(roles), things_(things), normalise_(normalise) {}

  base::Result<Deeds> run(const model::EventSource& events) {
    for (std::size_t task = 0; task < roles_.size(); ++task) {
      if (roles_.is_thread(task)) continue;
      const std::size_t maker = roles_.maker_of(task);
      deeds_.processes[task].maker = maker == Roles::kNone ? maker : roles_.process_of(maker);
    }
    const auto done = events.for_each([this](const model::Event& event) { step(event); });
    if (!done) return base::Failure{done.error()};
    return std::move(deeds_);
  }

 private:
  ProcessDeeds& of(std::size_t task) { return deeds_.processes[roles_.process_of(task)]; }

  void step(const model::Event& event) {
    roles_.follow(event);
    const std::size_t task = roles_.task();
    if (task == Roles::kNone) return;
    ProcessDeeds& deeds = of(task);
    if (std::holds_alternative<model::TaskExit>(event.data)) end(event, deeds);
    if (const auto* enter = std::get_if<model::SyscallEnter>(&event.data)) {
      if (!enter->looked_up) attempt(begun_call(event, *enter), deeds);
    }
    const auto call = pairer_.observe(event);
    const std::string& role = roles_.name(task);
    const auto fresh = things_.observe(event, role, Roles::is_root(role));
    for (Thing* thing : fresh) {
      // Whose open of a named pipe came back first is chance.
      if (thing->kind == ResourceKind::kFifo) continue;
      thing->maker = task;
      thing->order = event.sequence;
    }
    if (const auto* exit = std::get_if<model::SyscallExit>(&event.data)) {
      if (call && !exit->looked_up && !call->looked_up) finish(event, *call, fresh, deeds);
    } else if (const auto* exec = std::get_if<model::Exec>(&event.data)) {
      execute(event, *exec, deeds);
    } else if (const auto* seen = std::get_if<model::TaskSeen>(&event.data)) {
      if (seen->at_attach && !seen->exe.empty() && !roles_.is_thread(task)) {
        deeds.programs.push_back(program_name(seen->exe, normalise_));
      }
    } else if (std::holds_alternative<model::NewTask>(event.data)) {
      made(deeds);
    }
  }

  void made(const ProcessDeeds& maker) {
    const std::size_t child = roles_.made();
    if (child == Roles::kNone || roles_.is_thread(child)) return;
    ProcessDeeds& deeds = deeds_.processes[child];
    deeds.inherited = maker.programs.empty() ? maker.inherited : maker.programs.back();
  }

  void end(const model::Event& event, ProcessDeeds& deeds) {
    if (event.tid != base::main_thread(event.pid)) return;
    const auto& exit = std::get<model::TaskExit>(event.data);
    deeds.has_end = true;
    deeds.signaled = exit.signaled;
    deeds.code = exit.code;
    if (!deeds.programs.empty()) return;
    for (int fd = 0; fd < kMostDescriptors; ++fd) {
      const model::FdEntry* entry = things_.entry(event.pid, fd);
      const Thing* thing = things_.find(event.pid, fd);
      if (entry != nullptr && thing != nullptr) hold(*thing, entry->mode, deeds);
    }
  }

  static void hold(const Thing& thing, model::FdMode mode, ProcessDeeds& deeds) {
    if (!is_channel(thing)) return;
    if (model::reads(mode)) deeds.holds.insert({thing.index, false});
    if (model::writes(mode)) deeds.holds.insert({thing.index, true});
  }

  void execute(const model::Event& event, const model::Exec& exec, ProcessDeeds& deeds) {
    deeds.programs.push_back(program_name(exec.exe, normalise_));
    std::vector<model::FdEntry> entries = exec.fds;
    // Could not be read: as far as it was followed.
    for (int fd = 0; exec.fds.empty() && fd < kMostDescriptors; ++fd) {
      if (const model::FdEntry* entry = things_.entry(event.pid, fd)) entries.push_back(*entry);
    }
    deeds.holds.clear();
    deeds.files.clear();
    deeds.standard = {};
    if (!entries.empty()) deeds.closed = {0, 1, 2};
    for (const model::FdEntry& entry : entries) {
      Thing* thing = things_.find(event.pid, entry.fd);
      if (thing == nullptr) continue;
      if (entry.fd <= 2) {
        thing->pinned = true;
        deeds.closed.erase(entry.fd);
        deeds.standard[static_cast<std::size_t>(entry.fd)] = thing->index;
      } else if (is_channel(*thing)) {
        hold(*thing, entry.mode, deeds);
      } else if (!thing->outside && !thing->path.empty() && !is_runtime_path(thing->path)) {
        deeds.files.insert(path_text(thing->path, normalise_));
      }
    }
  }

  // What a call wants, whether or not it gets it: having to wait is timing.
  void attempt(const model::Call& call, ProcessDeeds& deeds) {
    const auto& args = call.raw.args;
    switch (call.sys()) {
      case Sys::wait4:
      case Sys::waitid:
        if (const auto child = awaited_child(call)) {
          if (child->is_pidfd) {
            poll_pidfd(call.pid, child->number, deeds);
          } else {
            wait_for(child->number, deeds);
          }
        }
        return;
      case Sys::poll:
      case Sys::ppoll:
      case Sys::select:
      case Sys::pselect6:
        for (const auto& end : syscalls::polled_fds(call.raw, call.memory)) {
          use(call.pid, end.fd, end.read, end.write, deeds);
          poll_pidfd(call.pid, end.fd, deeds);
        }
        return;
      case Sys::connect: {
        const std::string address = connect_address(call, normalise_);
        if (!address.empty()) deeds.effects.insert("connects to " + address);
        return;
      }
      case Sys::flock:
      case Sys::fcntl:
        if (takes_a_lock(call)) {
          const Thing* thing = things_.find(call.pid, as_int(args[0]));
          const bool path = thing != nullptr && !thing->path.empty();
          deeds.locks.insert(path ? path_text(thing->path, normalise_) : std::string{});
        }
        return;
      default:
        break;
    }
    for (const auto& end : moved_fds(call)) use(call.pid, end.fd, end.read, end.write, deeds);
  }

  void use(base::Pid pid, int fd, bool reads, bool writes, ProcessDeeds& deeds) {
    const Thing* thing = things_.find(pid, fd);
    if (thing == nullptr || !is_channel(*thing)) return;
    if (reads) deeds.reads.insert(thing->index);
    if (writes) deeds.writes.insert(thing->index);
  }

  void wait_for(std::int32_t pid, ProcessDeeds& deeds) {
    const std::size_t child = roles_.task_of(base::Tid{pid});
    if (child != Roles::kNone) deeds.waits_for.insert(roles_.process_of(child));
  }

  void poll_pidfd(base::Pid pid, int fd, ProcessDeeds& deeds) {
    const Thing* thing = things_.find(pid, fd);
    if (thing == nullptr) return;
    if (const auto child = pidfds_.find(thing->index); child != pidfds_.end()) {
      deeds.waits_for.insert(child->second);
    }
  }

  void finish(const model::Event& event, const model::Call& call, const std::vector<Thing*>& fresh,
              ProcessDeeds& deeds) {
    if (call.first_sequence == event.sequence) attempt(call, deeds);
    if (!call.result) return;
    note_calls_seen(call);
    if (call.result->is_error) {
      if (call.result->value == -EPIPE) mark_cut(call);
      return;
    }
    switch (call.sys()) {
      case Sys::wait4:
      case Sys::waitid:
        return reap(call, deeds);
      case Sys::pidfd_open:
        if (!fresh.empty()) {
          const std::size_t of = roles_.task_of(base::Tid{as_int(call.raw.args[0])});
          if (of != Roles::kNone) pidfds_[fresh.front()->index] = roles_.process_of(of);
        }
        return;
      case Sys::open:
      case Sys::openat:
      case Sys::openat2:
      case Sys::creat:
        if (!fresh.empty() && fresh.front()->kind != ResourceKind::kFifo) {
          fresh.front()->path = path_argument(call, "pathname").value_or(std::string{});
        }
        if (auto line = writing_open(call, normalise_)) deeds.effects.insert(std::move(*line));
        return;
      case Sys::bind:
        if (Thing* thing = things_.find(call.pid, as_int(call.raw.args[0]))) {
          thing->bound = address_text(call, normalise_);
        }
        return;
      case Sys::listen:
        if (const Thing* thing = things_.find(call.pid, as_int(call.raw.args[0]))) {
          deeds.effects.insert("listens on " +
                               (thing->bound.empty() ? std::string{"<port>"} : thing->bound));
        }
        return;
      case Sys::kill:
      case Sys::tkill:
      case Sys::tgkill:
      case Sys::rt_sigqueueinfo:
      case Sys::pidfd_send_signal:
        return send_signal(call, deeds);
      default:
        break;
    }
    if (syscalls::is_write_like(call.sys())) {
      count_bytes(call);
    } else if (auto line = path_change(call, normalise_)) {
      things_.follow_paths(call, roles_.task_of(call.tid), event.sequence);
      deeds.effects.insert(std::move(*line));
    }
  }

  void note_calls_seen(const model::Call& call) {
    switch (call.sys()) {
      case Sys::read:
      case Sys::close:
        deeds_.all_seen = true;
        return;
      case Sys::open:
      case Sys::openat:
        deeds_.all_seen = deeds_.all_seen || writing_text(call).empty();
        return;
      default:
        return;
    }
  }

  const Thing* written(const model::Call& call) {
    const auto fd = written_fd(call);
    return fd ? things_.find(call.pid, *fd) : nullptr;
  }

  void mark_cut(const model::Call& call) {
    if (!syscalls::is_write_like(call.sys())) return;
    const Thing* thing = written(call);
    if (thing != nullptr && is_channel(*thing)) deeds_.channels[thing->index].cut = true;
  }

  void count_bytes(const model::Call& call) {
    const Thing* thing = written(call);
    if (thing == nullptr || !is_channel(*thing) || call.sys() == Sys::sendmmsg) return;
    if (call.result->value > 0) {
      deeds_.channels[thing->index].bytes += static_cast<std::uint64_t>(call.result->value);
    }
  }

  void reap(const model::Call& call, ProcessDeeds& deeds) {
    if (const auto pid = reaped_child(call)) wait_for(*pid, deeds);
  }

  void send_signal(const model::Call& call, ProcessDeeds& deeds) {
    using To = SentSignal::To;
    const auto sent = sent_signal(call);
    if (!sent) return;
    std::size_t target = Roles::kNone;
    if (sent->to == To::kProcess || sent->to == To::kThread) {
      target = roles_.task_of(base::Tid{sent->number});
      if (target != Roles::kNone) target = roles_.process_of(target);
    } else if (sent->to == To::kPidFd) {
      const Thing* thing = things_.find(call.pid, sent->number);
      const auto child = thing == nullptr ? pidfds_.end() : pidfds_.find(thing->index);
      if (child != pidfds_.end()) target = child->second;
    }
    if (target == Roles::kNone) return;
    // Between threads of one process it is how runtimes stop each other, now and then.
    if (sent->to == To::kThread && &deeds_.processes[target] == &deeds) return;
    deeds.signals.insert({syscalls::signal_name(sent->signo), target});
  }

  Roles& roles_;
  Things& things_;
  const Normaliser& normalise_;
  model::CallPairer pairer_;
  std::map<std::size_t, std::size_t> pidfds_;  // thing -> process
  Deeds deeds_;
};

}  // namespace

bool is_channel(const Thing& thing) {
  if (thing.outside) return false;
  switch (thing.kind) {
    case ResourceKind::kPipe:
    case ResourceKind::kFifo:
      return true;
    case ResourceKind::kUnixSocket:
      return thing.peer != nullptr;
    default:
      return false;
  }
}

base::Result<Deeds> collect_deeds(const model::EventSource& events, Roles& roles, Things& things,
                                  const Normaliser& normalise) {
  return Collector{roles, things, normalise}.run(events);
}

}  // namespace stucktrace::compare
