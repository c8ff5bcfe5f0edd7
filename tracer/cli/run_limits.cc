#include "tracer/cli/run_limits.h"

#include <fmt/format.h>

#include <algorithm>

#include "syscalls/decode.h"
#include "tracer/base/text.h"

namespace stucktrace::cli {

using model::Certainty;

bool may_fail(FailOn fail_on, const model::FindingRecord& record) {
  const model::Finding& finding = record.finding;
  switch (fail_on) {
    case FailOn::kNone:
      return false;
    case FailOn::kStuck:
      return finding.certainty != Certainty::kLikely;
    case FailOn::kDeadlock:
      return finding.certainty == Certainty::kProven && !finding.cycle.empty();
  }
  return false;
}

bool fails(FailOn fail_on, const model::FindingRecord& record, base::Nanoseconds stuck_after) {
  return may_fail(fail_on, record) && record.last_seen - record.stalled_since >= stuck_after;
}

// ---- idle --------------------------------------------------------------------------------------

namespace {
constexpr base::Nanoseconds kShortestInterval = std::chrono::milliseconds{50};
constexpr base::Nanoseconds kLongestInterval = std::chrono::seconds{2};
constexpr int kLooks = 20;        // within the limit
constexpr int kCpuShare = 100;    // one in so many of the time between two looks is no CPU used
constexpr int kMissedLooks = 10;  // so many in a row: the tool itself did not run
}  // namespace

base::Nanoseconds IdleWatch::interval() const {
  return std::clamp(limit_ / kLooks, kShortestInterval, kLongestInterval);
}

bool IdleWatch::due(base::Instant now) const {
  return !looked_ || now - *looked_ >= interval();
}

void IdleWatch::look(base::Instant now, const Activity& activity) {
  // Stopped, or the machine stood still: nobody can tell what the tree would have done.
  const bool gap = !looked_ || now - *looked_ > kMissedLooks * interval();
  const bool active = gap || activity.task_changes != last_.task_changes ||
                      activity.written != last_.written ||
                      (activity.cpu - last_.cpu) * kCpuShare >= now - *looked_;
  if (active) active_ = now;
  looked_ = now;
  last_ = activity;
}

bool IdleWatch::expired(base::Instant now) const {
  return looked_ && now - active_ >= limit_;
}

// ---- the end -----------------------------------------------------------------------------------

EndReason TreeEnd::reached(const EndFacts& facts) {
  if (facts.command_ended && !command_ended_) command_ended_ = facts.now;
  if (facts.cancelled && limits_.watches_command()) return EndReason::kCancelled;
  if (facts.finding_fails) return EndReason::kFinding;
  if (limits_.deadline && facts.now - launched_ >= *limits_.deadline) return EndReason::kDeadline;
  if (facts.idle_expired) return EndReason::kIdle;
  if (limits_.close_orphans && command_ended_ &&
      facts.now - *command_ended_ >= limits_.stuck_after) {
    return EndReason::kOrphans;
  }
  return EndReason::kNone;
}

// Told to end: everything that is still to come becomes short.
void TreeEnd::hurry(base::Instant now) {
  if (hurried_) return;
  hurried_ = true;
  limits_.grace = std::min(limits_.grace, kCancelledGrace);
  if (phase_ == Phase::kDiagnosing) phase_ends_ = std::min(phase_ends_, now + kCancelledLook);
  if (phase_ == Phase::kTerminating) phase_ends_ = std::min(phase_ends_, now + kCancelledGrace);
}

base::Nanoseconds TreeEnd::look_limit() const {
  return hurried_ ? kCancelledLook : kLook;
}

base::Nanoseconds TreeEnd::longest(base::Instant now) const {
  const base::Nanoseconds phase = std::max(phase_ends_ - now, base::Nanoseconds{});
  switch (phase_) {
    case Phase::kFollowing:
    case Phase::kGivenUp:
      return {};
    case Phase::kDiagnosing:
      return phase + limits_.grace + kKillLimit;
    case Phase::kTerminating:
      return phase + kKillLimit;
    case Phase::kKilling:
      return phase;
  }
  return {};
}

EndStep TreeEnd::next(const EndFacts& facts) {
  if (facts.cancelled && phase_ != Phase::kFollowing) hurry(facts.now);
  switch (phase_) {
    case Phase::kFollowing:
      reason_ = reached(facts);
      if (reason_ == EndReason::kNone) return EndStep::kNothing;
      phase_ = Phase::kDiagnosing;
      phase_ends_ = facts.now + kLook;
      if (reason_ == EndReason::kCancelled) hurry(facts.now);
      return EndStep::kDiagnose;
    case Phase::kDiagnosing:
      if (!facts.diagnosed && !facts.cancelled_again && facts.now < phase_ends_) {
        return EndStep::kNothing;
      }
      diagnosed_ = facts.diagnosed;
      phase_ = Phase::kTerminating;
      phase_ends_ = facts.now + limits_.grace;
      return EndStep::kTerminate;
    case Phase::kTerminating:
      if (!facts.cancelled_again && facts.now < phase_ends_) return EndStep::kNothing;
      phase_ = Phase::kKilling;
      phase_ends_ = facts.now + kKillLimit;
      return EndStep::kKill;
    case Phase::kKilling:
      if (facts.now < phase_ends_) return EndStep::kKill;
      phase_ = Phase::kGivenUp;
      return EndStep::kGiveUp;
    case Phase::kGivenUp:
      return EndStep::kNothing;
  }
  return EndStep::kNothing;
}

model::Ended ended_by(EndReason reason, const RunLimits& limits, bool command_ended, int signo) {
  const auto time = [](const std::optional<base::Nanoseconds>& limit) {
    return base::human_duration(limit.value_or(base::Nanoseconds{}));
  };
  model::Ended ended;
  switch (reason) {
    case EndReason::kNone:
      return ended;
    case EndReason::kDeadline:
      ended = {"deadline",
               fmt::format("the deadline of {} has passed (--deadline)", time(limits.deadline)),
               limits.deadline};
      break;
    case EndReason::kIdle:
      ended = {"idle",
               fmt::format("for {} nothing was written, no CPU used, and no task started or ended "
                           "(--idle)",
                           time(limits.idle)),
               limits.idle};
      break;
    case EndReason::kFinding:
      ended = {"fail-on",
               limits.fail_on == FailOn::kDeadlock ? "a deadlock was found (--fail-on deadlock)"
                                                   : "something is stuck (--fail-on stuck)",
               std::nullopt};
      break;
    case EndReason::kCancelled:
      ended = {"cancelled",
               fmt::format("stucktrace was told to end ({})", syscalls::signal_name(signo)),
               std::nullopt};
      break;
    case EndReason::kOrphans:
      return {"orphans", "the command has ended and left something behind (--close-orphans)",
              std::nullopt};
  }
  if (command_ended) ended.words += "; the command itself had ended, what it left behind had not";
  return ended;
}

}  // namespace stucktrace::cli
