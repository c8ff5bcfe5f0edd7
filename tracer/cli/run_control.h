#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "tracer/cli/end_guard.h"
#include "tracer/cli/event_pump.h"
#include "tracer/cli/run_limits.h"
#include "tracer/engine/tracer.h"
#include "tracer/kernel/control_group.h"
#include "tracer/kernel/descendants.h"
#include "tracer/kernel/procfs.h"

namespace stucktrace::cli {

// Watches a launched tree on the tracer's thread and, when one of its limits is reached, sees it to
// its end: has it diagnosed, ends it, and never waits for anybody in between.
class RunControl final : public engine::TickObserver {
 public:
  struct Plan {
    RunLimits limits;
    base::Nanoseconds settle{};  // of the last look, at most
    // The command and whatever it starts are in it; null if none could be had.
    const kernel::ControlGroup* group = nullptr;
    // True from the moment on that nobody is waited for any more who does not read our output.
    std::atomic<bool>& hurry;
  };
  // Made before the launch: what is a child of this process by then is none of the tree's.
  // `guard` may be null where there is no limit.
  RunControl(Plan plan, engine::Tracer& tracer, EventPump& pump, const base::Clock& clock,
             EndGuard* guard);

  // The command was launched just now.
  void launched(base::Instant now);
  // After the tracer's run: follows what was let go on the way, within the limits, to its end.
  void finish();

  // The exit status in place of the command's, where a limit was reached.
  std::optional<int> status() const;
  bool reached() const { return reason() != EndReason::kNone; }
  // Why, once it was.
  const model::Ended& ended() const { return ended_; }
  // Who was signalled as well, and was not found before: the report was told by then.
  const std::vector<model::EndedProcess>& ended_late() const { return late_; }
  // The look before the end took too long, and may still be going on.
  bool look_given_up() const { return reached() && !pump_.last_look_over(); }

  engine::Directive on_tick(base::Instant now) override;
  void on_picture_wanted() override { pump_.on_picture_wanted(); }
  bool on_told_to_end(int signo) override;

 private:
  EndReason reason() const { return end_ ? end_->reason() : EndReason::kNone; }
  bool idle_expired(base::Instant now);
  Activity activity();
  void diagnose();
  void signal_all(int signo);
  std::vector<kernel::Descendants::Process> present() const;
  std::map<base::Pid, model::EndedProcess::Known> tree() const;
  std::vector<model::EndedProcess> new_in_tree();
  void note_former(base::Instant now);
  void arm_guard(base::Instant now);
  bool follows_untraced() const;
  int own_status() const;

  Plan plan_;
  engine::Tracer& tracer_;
  EventPump& pump_;
  const base::Clock& clock_;
  EndGuard* guard_;
  kernel::Procfs procfs_;
  std::optional<kernel::Descendants> descendants_;  // where there is a limit
  std::optional<TreeEnd> end_;
  std::optional<IdleWatch> idle_;
  model::Ended ended_;
  std::vector<model::EndedProcess> late_;
  std::set<base::Pid> noted_;   // in either
  bool ended_in_time_ = false;  // the command itself, before the limit was reached
  int cancelled_by_ = 0;
  int cancels_ = 0;
  bool insisted_ = false;       // told to end when only what is not traced was left to be ended
  base::Instant cancelled_at_;  // the latest time
  base::Instant former_noted_;
  std::vector<kernel::Descendants::Process> seen_;  // at the last look for activity
  std::uint64_t seen_changes_ = 0;
};

}  // namespace stucktrace::cli
