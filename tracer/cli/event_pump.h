#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/cli/live_session.h"
#include "tracer/engine/event_queue.h"
#include "tracer/engine/tracer.h"

namespace stucktrace::cli {

// Stands between the tracer's thread and a session: what the tracer emits goes through a queue to a
// thread of the pump's, which alone drives the session from start() to finish(). So nothing that a
// session does (encode, print, write, diagnose) delays a tracee, as long as the queue has room.
class EventPump final : public engine::TickObserver {
 public:
  // `tracers`: how many threads emit.
  EventPump(LiveSession& session, const base::Clock& clock, std::size_t tracers = 1);
  ~EventPump() override { finish(); }
  EventPump(const EventPump&) = delete;
  EventPump& operator=(const EventPump&) = delete;

  // Where the events of each tracer go.
  std::vector<model::EventSink*> sinks();
  // `shared_cpu` says where the tracer sits (Tracer::shared_cpu); it is asked until finish().
  void start(std::function<int()> shared_cpu);
  // Everything emitted has been through the session when this returns.
  void finish();

  // On the tracer's thread.
  engine::Directive on_tick(base::Instant now) override;
  void on_picture_wanted() override { picture_wanted_.store(true); }

  // From any thread: see LiveSession.
  void want_last_look(LastLook look);
  bool last_look_over() const { return last_look_over_.load(); }
  bool failed() const { return failed_.load(); }

  // After finish(), of all tracers.
  engine::EventQueue::Counters counters() const;

 private:
  void work(const std::function<int()>& shared_cpu);
  engine::EventQueue* oldest();
  std::optional<LastLook> take_last_look();
  std::size_t drain();

  LiveSession& session_;
  const base::Clock& clock_;
  std::vector<std::unique_ptr<engine::EventQueue>> queues_;
  std::atomic<bool> picture_wanted_{false};
  std::atomic<bool> detach_wanted_{false};
  std::mutex last_look_mutex_;
  std::optional<LastLook> last_look_;
  std::atomic<bool> last_look_over_{false};
  std::atomic<bool> failed_{false};
  std::jthread thread_;
};

// What the run cost, for -v.
void tell_counters(const engine::Tracer::Counters& tracer, const EventPump& pump, base::Log& log);

}  // namespace stucktrace::cli
