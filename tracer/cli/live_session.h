#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tracer/base/clock.h"
#include "tracer/base/log.h"
#include "tracer/base/result.h"
#include "tracer/cli/analysis.h"
#include "tracer/cli/blocked_calls.h"
#include "tracer/cli/blocked_stacks.h"
#include "tracer/cli/kept_events.h"
#include "tracer/cli/last_look.h"
#include "tracer/cli/live_tree.h"
#include "tracer/cli/options.h"
#include "tracer/cli/output.h"
#include "tracer/cli/sampler.h"
#include "tracer/cli/stall_watch.h"
#include "tracer/engine/call_watch.h"
#include "tracer/engine/tracer.h"
#include "tracer/model/call_summary.h"
#include "tracer/model/task_tree.h"
#include "tracer/record/sink.h"
#include "tracer/render/text_timeline.h"
#include "tracer/render/trace_lanes.h"

namespace stucktrace::cli {

struct SessionPlan {
  std::string mode;                  // "launch", "seize", "attach": for the recording's header
  std::vector<std::string> command;  // likewise
  std::optional<base::Nanoseconds> time_limit;  // --for
  bool until_stuck = false;                     // let go at the first finding
  model::TracedCalls traced;                    // those that are not are looked up, or not at all
  // The finding fails the run; asked about each, again and again, as it gets older.
  std::function<bool(const model::FindingRecord&)> fails = {};
  // It would if it were older: worth a look whether it still stands.
  std::function<bool(const model::FindingRecord&)> may_fail = {};
  // Takes the report of the last look, before the tree is ended.
  std::function<void(const model::Report&)> on_last_look = {};
};

// Wires one live trace: engine events to recorder, analysis and timeline; stalls to the sampler and
// its samples back into the event stream, so that a replay sees what the live run saw.
//
// Used by one thread at a time: EventPump's while a trace runs, the maker's before and after.
class LiveSession final {
 public:
  // Opens the recording if one is asked for. `timeline_out` takes the timeline's lines,
  // `diagnostics` the pictures that were asked for; they may be the same.
  static base::Result<std::unique_ptr<LiveSession>> create(const Settings& settings,
                                                           SessionPlan plan,
                                                           const base::Clock& clock, base::Log& log,
                                                           Output& timeline_out,
                                                           Output& diagnostics);
  // The next event of the tracer; numbered here, since samples come in between.
  void accept(model::Event& event);
  // No further event is at hand: what was printed goes out.
  void flush_lines();
  // About every tick. What has happened up to `seen` has been accepted; it is `now` unless the
  // tracee is quicker than this thread.
  engine::Directive on_tick(base::Instant now, base::Instant seen);
  // The user asks for the present picture.
  void want_picture() { picture_wanted_ = true; }

  // The tree is going to be ended: one more look, whatever it shows, then none.
  void want_last_look(LastLook look);
  bool last_look_over() const { return last_look_.over(); }
  // Some finding fails the run.
  bool failed() const { return failed_; }

  void add_root(base::Pid pid) { roots_.push_back(pid); }
  // A sample taken before the first stop, so that nothing it saw was disturbed by the attach.
  void add_sample(model::Sample sample) { first_sample_ = std::move(sample); }
  // Ends timeline and recording. Errors of the recording come back.
  base::Result<void> finish();

  const Analysis& analysis() const { return *analysis_; }
  // All of them, where Settings::keep_events asks for it; else null. After finish().
  const KeptEvents* events() const { return kept_.get(); }
  base::Instant started() const { return started_; }
  bool found() const { return !analysis_->findings().empty(); }
  model::Report report() const;
  // The timeline for the report's page; null where none was asked for. After finish().
  const render::TraceLanes* lanes() const { return lanes_.get(); }
  // From the start to the last event.
  base::Nanoseconds took() const { return last_event_ - started_; }
  // The tables of -c; "" without it.
  std::string summary() const;

 private:
  LiveSession(const Settings& settings, SessionPlan plan, const base::Clock& clock, base::Log& log,
              Output& timeline_out, Output& diagnostics)
      : settings_(settings),
        plan_(std::move(plan)),
        clock_(clock),
        log_(log),
        timeline_out_(timeline_out),
        diagnostics_(diagnostics),
        watch_(settings.diagnosis.stuck_after) {}
  model::TraceHeader header() const;
  void on_event(const model::Event& event);
  void look_up_calls();
  void use_sample_of(base::Instant seen);
  void use_sample(model::Sample sample);
  void judge(model::Sample sample);
  void look_at_blocked_calls(base::Instant seen);
  void use_stacks_of(base::Instant seen);
  void name_as_the_timeline(model::Sample& sample) const;
  void tell_news();
  void request_look(base::Instant seen);
  bool wants_confirmation(base::Instant seen) const;
  void finish_last_look();
  std::vector<base::Pid> roots_now() const;

  const Settings& settings_;
  SessionPlan plan_;
  const base::Clock& clock_;
  base::Log& log_;
  Output& timeline_out_;
  Output& diagnostics_;
  std::unique_ptr<Analysis> analysis_;
  std::unique_ptr<record::Sink> writer_;
  std::unique_ptr<render::TextTimeline> timeline_;
  std::unique_ptr<render::TraceLanes> lanes_;
  std::string lines_;  // of the timeline, not yet written: one write for many
  Sampler sampler_;
  StallWatch watch_;
  LiveTree tree_;
  model::TaskTree names_;
  std::optional<engine::CallWatch> call_watch_;
  std::optional<BlockedCalls> blocked_calls_;  // only where their stacks are asked for
  std::optional<BlockedStacks> blocked_stacks_;
  std::vector<BlockedStack> stacks_;  // to be told once their past has been accepted
  std::optional<model::CallSummary> summary_;
  std::unique_ptr<KeptEvents> kept_;
  std::vector<base::Pid> roots_;
  base::Instant started_;
  base::Nanoseconds started_wall_{};
  base::Instant last_event_;
  std::uint64_t sequence_ = 0;
  std::optional<model::Sample> first_sample_;
  std::optional<model::Sample> sample_;  // to be judged once its past has been accepted
  bool picture_wanted_ = false;
  bool let_go_ = false;
  bool told_recording_failure_ = false;
  std::optional<base::Instant> orphans_since_;  // the command's end, till they were looked at
  LastLookStage last_look_;
  bool failed_ = false;
};

// "Linux 6.18.1 x86_64": never a host name.
std::string host_description();

}  // namespace stucktrace::cli
