#include "tracer/cli/live_session.h"

#include <fmt/format.h>
#include <malloc.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>

#include "tracer/cli/version.h"
#include "tracer/record/ring_writer.h"
#include "tracer/record/writer.h"
#include "tracer/render/summary_table.h"
#include "tracer/render/text_report.h"

namespace stucktrace::cli {
namespace {
// How far behind the tracee the session may be and still count as up to date.
constexpr base::Nanoseconds kInStep = std::chrono::milliseconds{50};

base::Result<std::unique_ptr<record::Sink>> open_recording(const Settings& settings,
                                                           const model::TraceHeader& header) {
  if (settings.ring_bytes == 0) return record::Writer::create(settings.record_path, header);
  return record::RingWriter::create(settings.record_path, header, settings.ring_bytes);
}
}  // namespace

std::string host_description() {
  utsname name{};
  if (::uname(&name) != 0) return "Linux";
  return fmt::format("{} {} {}", name.sysname, name.release, name.machine);
}

base::Result<std::unique_ptr<LiveSession>> LiveSession::create(const Settings& settings,
                                                               SessionPlan plan,
                                                               const base::Clock& clock,
                                                               base::Log& log, Output& timeline_out,
                                                               Output& diagnostics) {
  auto analysis = Analysis::create(settings.diagnosis);
  if (!analysis) return base::Failure{analysis.error()};
  std::unique_ptr<LiveSession> session(
      new LiveSession(settings, std::move(plan), clock, log, timeline_out, diagnostics));
  session->analysis_ = std::move(*analysis);
  if (session->plan_.traced.looked_up) {
    session->call_watch_.emplace(engine::CallWatch::Options{.payload = settings.tracer.payload});
  }
  session->started_ = clock.now();
  session->started_wall_ = clock.wall();
  session->last_event_ = session->started_;
  const model::TraceHeader header = session->header();
  if (!settings.record_path.empty()) {
    auto writer = open_recording(settings, header);
    if (!writer) return base::Failure{writer.error()};
    session->writer_ = std::move(*writer);
  }
  if (settings.keep_events) {
    const bool whole = settings.ring_bytes == 0;
    auto kept = KeptEvents::create(whole ? settings.record_path : std::string{}, header);
    if (!kept) return base::Failure{kept.error()};
    session->kept_ = std::move(*kept);
  }
  if (settings.summary) session->summary_.emplace();
  if (settings.blocked_stacks) {
    session->blocked_calls_.emplace(settings.diagnosis.stuck_after);
    session->blocked_stacks_.emplace(clock);
  }
  const bool tells_stacks = settings.json && (settings.tracer.stacks_at || settings.blocked_stacks);
  if (!settings.html_path.empty() || tells_stacks) {
    session->lanes_ = std::make_unique<render::TraceLanes>(session->started_);
  }
  if (!settings.quiet && !settings.summary) {
    render::TimelineOptions look = settings.timeline;
    look.wall_offset = session->started_wall_ - session->started_.since_boot;
    session->timeline_ = std::make_unique<render::TextTimeline>(
        std::move(look), session->started_,
        [&lines = session->lines_](std::string_view line) { (lines += line) += '\n'; });
  }
  return session;
}

model::TraceHeader LiveSession::header() const {
  model::TraceHeader header;
  header.tool_version = kVersion;
  header.mode = plan_.mode;
  header.command = plan_.command;
  header.started = started_;
  header.started_wall = started_wall_;
  header.host = host_description();
  header.clock_ticks_per_second = static_cast<std::uint32_t>(::sysconf(_SC_CLK_TCK));
  header.own_pid = ::getpid();
  header.stuck_after = settings_.diagnosis.stuck_after;
  header.announce = settings_.diagnosis.announce;
  header.traced = plan_.traced;
  return header;
}

void LiveSession::accept(model::Event& event) {
  use_sample_of(event.at);
  use_stacks_of(event.at);
  event.sequence = ++sequence_;
  // A sample put in between carries a time at which the tracer's next event may have been on its
  // way already.
  event.at = std::max(event.at, last_event_);
  on_event(event);
}

void LiveSession::on_event(const model::Event& event) {
  last_event_ = event.at;
  if (writer_) writer_->on_event(event);
  if (kept_) kept_->on_event(event);
  analysis_->on_event(event);
  watch_.observe(event);
  if (blocked_calls_) blocked_calls_->observe(event);
  tree_.observe(event);
  names_.observe(event);
  if (std::holds_alternative<model::TaskExit>(event.data) && plan_.mode == "launch" &&
      !roots_.empty() && event.tid == base::main_thread(roots_.front())) {
    orphans_since_ = event.at;
  }
  if (call_watch_) call_watch_->observe(event);
  if (summary_) summary_->on_event(event);
  if (timeline_) timeline_->on_event(event);
  if (lanes_) lanes_->on_event(event);
  if (std::holds_alternative<model::Sample>(event.data)) tell_news();
}

void LiveSession::flush_lines() {
  if (lines_.empty()) return;
  timeline_out_.write(lines_);
  lines_.clear();
}

engine::Directive LiveSession::on_tick(base::Instant now, base::Instant seen) {
  if (timeline_) timeline_->tick(now);
  timeline_out_.retry();
  diagnostics_.retry();
  if (writer_) {
    writer_->flush();
    if (const auto failure = writer_->failure(); failure && !told_recording_failure_) {
      told_recording_failure_ = true;
      log_.say(base::LogLevel::kNormal,
               fmt::format("recording stopped: {}; the trace goes on", failure->message()));
    }
  }
  // A look at calls that are open now would come before events that ended them.
  if (now - seen < kInStep) look_up_calls();
  look_at_blocked_calls(seen);
  // The tasks that it shows have been told by now.
  if (auto first = std::exchange(first_sample_, std::nullopt)) use_sample(std::move(*first));
  const bool busy = sampler_.busy();  // asked first: it may be done a moment after take()
  if (!sample_) sample_ = sampler_.take();
  use_sample_of(seen);
  if (!busy && !sample_ && !last_look_.over()) request_look(seen);
  if (plan_.fails && !failed_) failed_ = std::ranges::any_of(analysis_->findings(), plan_.fails);
  if (let_go_ || (plan_.time_limit && now - started_ >= *plan_.time_limit)) {
    return engine::Directive::kDetach;
  }
  return engine::Directive::kGoOn;
}

bool LiveSession::wants_confirmation(base::Instant seen) const {
  if (!plan_.may_fail) return false;
  return std::ranges::any_of(analysis_->findings(), [&](const model::FindingRecord& record) {
    return !record.resolved_at && plan_.may_fail(record) &&
           seen - record.last_seen >= settings_.diagnosis.stuck_after;
  });
}

// Nothing is being looked at.
void LiveSession::request_look(base::Instant seen) {
  if (last_look_.wanted()) {
    // Asked for and nothing came: the tree has ended meanwhile.
    if (last_look_.asked()) return finish_last_look();
    return sampler_.request(last_look_.ask(roots_now()));
  }
  // What the command has left behind is looked at once it has been there for a while.
  const bool orphans = orphans_since_ && seen - *orphans_since_ >= settings_.diagnosis.stuck_after;
  if (orphans) orphans_since_.reset();
  if (!orphans && !watch_.due(seen) && !picture_wanted_ && !wants_confirmation(seen)) return;
  sampler_.request({.roots = roots_now(), .settle = settings_.settle});
}

void LiveSession::want_last_look(LastLook look) {
  model::Event event{0, clock_.now(), base::Pid{}, base::Tid{}, model::Note{look.ended.words}};
  last_look_.want(std::move(look));
  accept(event);
}

void LiveSession::finish_last_look() {
  last_look_.end();
  flush_lines();
  if (writer_) writer_->flush();
  if (plan_.on_last_look) plan_.on_last_look(report());
}

// Where to start from: what was given, as long as it lives, and what has lost its parent.
std::vector<base::Pid> LiveSession::roots_now() const {
  std::vector<base::Pid> roots;
  for (const base::Pid pid : roots_) {
    if (tree_.contains(pid)) roots.push_back(pid);
  }
  for (const base::Pid pid : tree_.tops()) {
    if (std::ranges::find(roots, pid) == roots.end()) roots.push_back(pid);
  }
  return roots.empty() ? roots_ : roots;
}

void LiveSession::look_up_calls() {
  if (!call_watch_) return;
  for (model::Event& event : call_watch_->look(clock_)) accept(event);
}

// What a sample shows is judged by what had happened till then, no less and, as far as it is in
// time, no more.
void LiveSession::use_sample_of(base::Instant seen) {
  if (!sample_ || sample_->now->taken_at > seen) return;
  model::Sample sample = std::move(*sample_);
  sample_.reset();
  use_sample(std::move(sample));
}

void LiveSession::look_at_blocked_calls(base::Instant seen) {
  if (!blocked_calls_) return;
  blocked_stacks_->request(blocked_calls_->due(seen));
  for (BlockedStack& read : blocked_stacks_->take()) stacks_.push_back(std::move(read));
  use_stacks_of(seen);
}

// A stack is that of the call if this is still open by all that had happened when it was read: a
// stop that ends a call holds the thread in it until its event is on its way.
void LiveSession::use_stacks_of(base::Instant seen) {
  while (!stacks_.empty() && stacks_.front().taken_at <= seen) {
    BlockedStack read = std::move(stacks_.front());
    stacks_.erase(stacks_.begin());
    if (!blocked_calls_->is_open(read.call)) continue;
    model::Event event{0, read.taken_at, read.call.pid, read.call.tid, std::move(read.stack)};
    accept(event);
  }
}

// The names that the timeline uses; what is not of the tree has none.
void LiveSession::name_as_the_timeline(model::Sample& sample) const {
  const auto named = [this](const model::Snapshot& snapshot) {
    model::Snapshot copy = snapshot;
    for (model::Process& process : copy.processes) {
      const bool known = names_.find(base::main_thread(process.pid)) != nullptr;
      process.role = known ? names_.process_role(process.pid) : "";
    }
    return std::make_shared<const model::Snapshot>(std::move(copy));
  };
  sample.before = named(*sample.before);
  sample.now = named(*sample.now);
}

// A look is taken now and then, and at a thousand threads its snapshots, with what was needed to
// read and judge them, are a third of all memory of the tool: malloc would keep it for the next
// one, which may never come.
void LiveSession::use_sample(model::Sample sample) {
  judge(std::move(sample));
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

void LiveSession::judge(model::Sample sample) {
  name_as_the_timeline(sample);
  const bool wanted = std::exchange(picture_wanted_, false);
  const model::Diagnosis diagnosis = analysis_->diagnose(sample);
  if (wanted) {
    flush_lines();
    model::Report picture;
    picture.tool_version = kVersion;
    picture.host = host_description();
    picture.taken_at = sample.now->taken_at;
    picture.snapshot = sample.now;
    picture.diagnosis = diagnosis;
    picture.could_not_see = sample.now->could_not_see;
    diagnostics_.write(render::text_report(picture, {.color = settings_.color_stderr}));
  }
  // Only a sample that says something belongs into the trace: it is what a replay diagnoses again.
  const bool last = last_look_.asked();
  if (diagnosis.findings.empty() && !last) return;
  const base::Instant taken_at = sample.now->taken_at;
  model::Event event{0, taken_at, base::Pid{}, base::Tid{}, std::move(sample)};
  accept(event);
  if (last) finish_last_look();
}

void LiveSession::tell_news() {
  for (const model::FindingRecord& record : analysis_->take_news()) {
    if (lanes_) lanes_->finding(record);
    if (timeline_)
      timeline_->finding(record);
    else
      log_.say(base::LogLevel::kNormal, record.finding.headline);
    if (plan_.until_stuck) let_go_ = true;
  }
}

model::Report LiveSession::report() const {
  model::Report report;
  report.tool_version = kVersion;
  report.host = host_description();
  // As of the last event, like a replay.
  report.taken_at = last_event_;
  report.taken_wall = started_wall_ + (last_event_ - started_);
  report.snapshot = analysis_->last_snapshot();
  report.diagnosis = analysis_->last_diagnosis();
  report.history = analysis_->findings();
  if (report.snapshot) report.could_not_see = report.snapshot->could_not_see;
  last_look_.tell(report);
  return report;
}

std::string LiveSession::summary() const {
  return summary_ ? render::summary_tables(*summary_) : std::string{};
}

base::Result<void> LiveSession::finish() {
  if (timeline_) timeline_->close();
  if (lanes_) lanes_->close();
  flush_lines();
  base::Result<void> recorded;
  if (writer_) recorded = writer_->finish();
  if (kept_) kept_->finish();
  return recorded;
}

}  // namespace stucktrace::cli
