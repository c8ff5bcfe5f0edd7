#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "tracer/engine/tracer.h"

namespace stucktrace::engine {

// Tracers side by side, each on a thread of its own with some of the processes to attach to: a stop
// of one process does not wait for a stop of another, and each tracer can sit on the CPU of its own
// tracee. A process's children stay with its tracer. The first tracer is the calling thread, so
// that TracerPid of a lone process is the tool's pid. All methods are called from one thread.
class TracerGroup {
 public:
  // `sinks`: one for each tracer, each used by one thread. They outlive the group.
  TracerGroup(const TracerOptions& options, const base::Clock& clock,
              const std::vector<model::EventSink*>& sinks, base::Log& log);
  // Lets go of whatever is still traced.
  ~TracerGroup();
  TracerGroup(const TracerGroup&) = delete;
  TracerGroup& operator=(const TracerGroup&) = delete;

  // How many tracers are worth their threads for this many processes here.
  static std::size_t useful(std::size_t processes);

  struct Target {
    base::Pid pid;
    base::Result<void> attached;
  };
  // Attaches to every process, dealt out in order; what came of it.
  std::vector<Target> attach(const std::vector<base::Pid>& pids);
  // Until all trees have ended, or the observer says so, or the tool is told to stop. The observer
  // is called from each tracer's thread.
  base::Result<Outcome> run(TickObserver& observer);

  Tracer::Counters counters() const { return counters_; }
  // For signals to the tool after run().
  Ticker& ticker() { return ticker_; }
  // The CPU a lone tracer shares with its tracee, -1 with several.
  int shared_cpu() const { return shared_cpu_.load(std::memory_order_relaxed); }

 private:
  enum class Phase : std::uint8_t { kAttach, kRun, kAbandon };
  struct Member {
    model::EventSink* sink = nullptr;
    std::vector<Target> targets;
    base::Result<Outcome> outcome = Outcome{};
    std::string placement;
    std::uint64_t stops = 0;
    std::jthread thread;
  };
  void work(Member& member);
  void attach_all(Member& member, Tracer& tracer);
  void follow(Member& member, Tracer& tracer);
  void go_on(Phase phase);

  TracerOptions options_;
  const base::Clock& clock_;
  base::Log& log_;
  Ticker ticker_;
  TickObserver* observer_ = nullptr;
  std::mutex mutex_;
  std::condition_variable changed_;
  Phase phase_ = Phase::kAttach;
  std::size_t attached_ = 0;  // members that are through with attaching
  std::atomic<int> shared_cpu_{-1};
  Tracer::Counters counters_;
  std::vector<std::unique_ptr<Member>> members_;
  std::unique_ptr<Tracer> first_;  // of members_[0]
};

}  // namespace stucktrace::engine
