#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tracer/base/clock.h"
#include "tracer/model/verdict.h"

namespace stucktrace::cli {

// When `run` ends the tree by itself, and in which steps. Pure: time and facts come in.

enum class FailOn : std::uint8_t {
  kNone,
  kStuck,     // a proven stall, or one that only a time-out ends
  kDeadlock,  // a proven circle
};

struct RunLimits {
  std::optional<base::Nanoseconds> deadline;  // from the launch
  std::optional<base::Nanoseconds> idle;
  base::Nanoseconds grace = std::chrono::seconds{10};  // from SIGTERM to SIGKILL
  FailOn fail_on = FailOn::kNone;
  bool close_orphans = false;
  // How long a finding has to stand, and orphans may outlive the command.
  base::Nanoseconds stuck_after = std::chrono::seconds{1};

  // The tree may be ended before it ends by itself.
  bool any() const { return deadline || idle || fail_on != FailOn::kNone || close_orphans; }
  // Likewise while the command itself still runs: being told to end means to diagnose then.
  bool watches_command() const { return deadline || idle || fail_on != FailOn::kNone; }
};

// The finding ends the run once it has stood for long enough.
bool may_fail(FailOn fail_on, const model::FindingRecord& record);
// It has, as far as was seen: a stall that nobody has looked at since may be over. One that has
// ended lasted too long all the same.
bool fails(FailOn fail_on, const model::FindingRecord& record, base::Nanoseconds stuck_after);

// What the whole tree has done so far, in sums that only grow while no task starts or ends.
struct Activity {
  base::Nanoseconds cpu{};
  std::uint64_t written = 0;       // bytes
  std::uint64_t task_changes = 0;  // tasks started, ended, or executing another program
};

// For how long nothing was written, no CPU used and no task started or ended. CPU below 1 % of one
// is none: whoever only asks again and again whether something has happened is idle.
class IdleWatch {
 public:
  explicit IdleWatch(base::Nanoseconds limit) : limit_(limit) {}
  // The time has come for a look at the tree.
  bool due(base::Instant now) const;
  void look(base::Instant now, const Activity& activity);
  bool expired(base::Instant now) const;

 private:
  base::Nanoseconds interval() const;
  base::Nanoseconds limit_;
  std::optional<base::Instant> looked_;
  base::Instant active_;  // the last time something happened
  Activity last_;
};

enum class EndReason : std::uint8_t { kNone, kDeadline, kIdle, kFinding, kCancelled, kOrphans };

// What the machine wants done now; each comes once, but kKill, which comes until the tree is gone.
enum class EndStep : std::uint8_t { kNothing, kDiagnose, kTerminate, kKill, kGiveUp };

struct EndFacts {
  base::Instant now;
  bool command_ended = false;  // the main process; others of the tree live
  bool idle_expired = false;
  bool finding_fails = false;
  bool cancelled = false;  // the tool was told to end (SIGTERM and its like)
  bool cancelled_again = false;
  bool diagnosed = false;  // the look asked for by kDiagnose is over
};

// From the first limit reached to the end: diagnose, SIGTERM, grace, SIGKILL. Each phase has a
// limit of its own, so that none can be what hangs the job.
class TreeEnd {
 public:
  TreeEnd(RunLimits limits, base::Instant launched) : limits_(limits), launched_(launched) {}

  EndStep next(const EndFacts& facts);
  EndReason reason() const { return reason_; }
  // The look was over within its limit.
  bool diagnosed() const { return diagnosed_; }
  // How long the look may take that kDiagnose asks for.
  base::Nanoseconds look_limit() const;
  base::Nanoseconds grace() const { return limits_.grace; }
  // Something did not die; nothing more is done about it.
  bool given_up() const { return phase_ == Phase::kGivenUp; }
  // How much longer all phases that are left may take.
  base::Nanoseconds longest(base::Instant now) const;

  static constexpr base::Nanoseconds kLook = std::chrono::seconds{10};
  // Beyond it sums of times could overflow.
  static constexpr base::Nanoseconds kLongestGuarded = std::chrono::hours{24 * 3650};
  static constexpr base::Nanoseconds kKillLimit = std::chrono::seconds{5};
  // Whoever cancels a job kills it soon after.
  static constexpr base::Nanoseconds kCancelledLook = std::chrono::seconds{2};
  static constexpr base::Nanoseconds kCancelledGrace = std::chrono::seconds{3};

 private:
  enum class Phase : std::uint8_t {
    kFollowing,
    kDiagnosing,
    kTerminating,  // SIGTERM sent
    kKilling,      // SIGKILL sent
    kGivenUp,      // something did not die
  };
  EndReason reached(const EndFacts& facts);
  void hurry(base::Instant now);

  RunLimits limits_;
  base::Instant launched_;
  Phase phase_ = Phase::kFollowing;
  EndReason reason_ = EndReason::kNone;
  base::Instant phase_ends_;
  bool hurried_ = false;
  bool diagnosed_ = false;
  std::optional<base::Instant> command_ended_;
};

// For the report: the reason, as a word and as a sentence. `signo`: of kCancelled.
model::Ended ended_by(EndReason reason, const RunLimits& limits, bool command_ended, int signo);

}  // namespace stucktrace::cli
