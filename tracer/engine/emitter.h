#pragma once

#include <optional>

#include "tracer/base/clock.h"
#include "tracer/engine/options.h"
#include "tracer/kernel/procfs.h"
#include "tracer/model/event.h"
#include "tracer/model/fd_tracker.h"

namespace stucktrace::engine {

// Turns what the engine sees into numbered, timed events. Knows each process's descriptors, so that
// payloads are kept only where they are program output.
class Emitter {
 public:
  Emitter(const TracerOptions& options, const base::Clock& clock, model::EventSink& sink)
      : options_(options), clock_(clock), sink_(sink), trace_(options.trace) {}

  // While it lives events carry this time, that of the stop they tell of; without, the present.
  class StopTime {
   public:
    StopTime(Emitter& emitter, base::Instant at) : emitter_(emitter) { emitter_.stop_time_ = at; }
    ~StopTime() { emitter_.stop_time_.reset(); }
    StopTime(const StopTime&) = delete;
    StopTime& operator=(const StopTime&) = delete;

   private:
    Emitter& emitter_;
  };

  // The tracee is held up in its stop: from now on this is the stop's time.
  void put_off(base::Instant until) { stop_time_ = until; }

  void emit(base::Pid pid, base::Tid tid, model::EventData data);
  // The tracee is in its syscall-enter-stop (or was found in `call` at attach).
  void enter(base::Pid pid, base::Tid tid, const syscalls::RawCall& call, bool open_at_attach);
  void exit(base::Pid pid, base::Tid tid, const syscalls::RawCall& call,
            const syscalls::RawResult& result,
            const std::optional<model::CallTimes>& spent = std::nullopt);
  // Reads comm, program and descriptors of a live task.
  enum class Origin : std::uint8_t {
    kFound,     // existed before us: its descriptors are read
    kLaunched,  // the command itself: likewise, but it begins now
    kMade,      // by a task we follow: has its maker's descriptors
  };
  void task_seen(base::Pid pid, base::Tid tid, base::Pid parent, Origin origin);
  void exec(base::Pid pid, base::Tid former);

  // Whether this call becomes an event: chosen by the user, or without it the tree or its
  // descriptors would be lost track of.
  bool wants(const syscalls::RawCall& call) const;
  // The calls to report, in place of the options'. `loose`: not all that plumbs descriptors is
  // seen, so what a call's descriptors are is read anew each time.
  void use_set(const syscalls::TraceSet& set, bool loose) {
    trace_ = set;
    loose_ = loose;
  }
  std::uint64_t count() const { return sequence_; }

 private:
  base::Instant now() const { return stop_time_ ? *stop_time_ : clock_.now(); }
  void hand_over(model::Event&& event);
  syscalls::CaptureOptions capture_options(base::Pid pid, const syscalls::RawCall& call) const;

  const TracerOptions& options_;
  const base::Clock& clock_;
  model::EventSink& sink_;
  kernel::Procfs procfs_;
  syscalls::TraceSet trace_;
  bool loose_ = false;
  model::FdTracker fds_;
  std::uint64_t sequence_ = 0;
  std::optional<base::Instant> stop_time_;
};

}  // namespace stucktrace::engine
