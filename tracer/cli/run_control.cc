#include "tracer/cli/run_control.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <thread>
#include <utility>

#include "tracer/cli/exit_codes.h"
#include "tracer/kernel/process_work.h"

namespace stucktrace::cli {
namespace {
// Letting go of what does not die, writing what is left to write, and a busy machine.
constexpr base::Nanoseconds kLeaving = std::chrono::seconds{20};
// Who ends a job may send several signals at once, and means one thing.
constexpr base::Nanoseconds kOneRequest = std::chrono::milliseconds{500};
constexpr base::Nanoseconds kFormerInterval = std::chrono::seconds{1};

// What only the group knows of.
std::vector<base::Pid> outside(const std::vector<model::EndedProcess>& tree) {
  std::vector<base::Pid> pids;
  for (const model::EndedProcess& process : tree) {
    if (process.known == model::EndedProcess::Known::kGroup) pids.push_back(process.pid);
  }
  return pids;
}
}  // namespace

RunControl::RunControl(Plan plan, engine::Tracer& tracer, EventPump& pump, const base::Clock& clock,
                       EndGuard* guard)
    : plan_(plan), tracer_(tracer), pump_(pump), clock_(clock), guard_(guard) {
  if (plan_.limits.any()) descendants_.emplace(procfs_);
  if (plan_.limits.idle) idle_.emplace(*plan_.limits.idle);
}

// Whatever hangs, here or in the kernel: by then this process ends, and its tree with it.
void RunControl::launched(base::Instant now) {
  end_.emplace(plan_.limits, now);
  if (!plan_.limits.deadline || *plan_.limits.deadline > TreeEnd::kLongestGuarded) return;
  guard_->arm(
      *plan_.limits.deadline + TreeEnd::kLook + plan_.limits.grace + TreeEnd::kKillLimit + kLeaving,
      kExitDeadline);
}

bool RunControl::on_told_to_end(int signo) {
  if (!plan_.limits.watches_command() && !reached()) return false;
  const base::Instant now = clock_.now();
  if (cancels_ == 0) cancelled_by_ = signo;
  if (cancels_ == 0 || now - cancelled_at_ >= kOneRequest) ++cancels_;
  cancelled_at_ = now;
  return true;
}

void RunControl::note_former(base::Instant now) {
  if (!descendants_ || !descendants_->has_former()) return;
  if (now - former_noted_ < kFormerInterval) return;
  former_noted_ = now;
  descendants_->note_former();
}

engine::Directive RunControl::on_tick(base::Instant now) {
  const engine::Directive directive = pump_.on_tick(now);
  if (!end_) return directive;
  note_former(now);
  EndFacts facts;
  facts.now = now;
  facts.command_ended = tracer_.command_exit().has_value();
  facts.idle_expired = !reached() && idle_expired(now);
  facts.finding_fails = pump_.failed();
  facts.cancelled = cancels_ > 0;
  facts.cancelled_again = cancels_ > 1 || insisted_;
  facts.diagnosed = pump_.last_look_over();
  switch (end_->next(facts)) {
    case EndStep::kNothing:
      break;
    case EndStep::kDiagnose:
      diagnose();
      arm_guard(now);
      break;
    case EndStep::kTerminate:
      signal_all(SIGTERM);
      arm_guard(now);
      break;
    case EndStep::kKill:
      signal_all(SIGKILL);
      break;
    case EndStep::kGiveUp:
      return engine::Directive::kDetach;
  }
  return directive;
}

void RunControl::diagnose() {
  plan_.hurry.store(true);
  ended_in_time_ = tracer_.command_exit().has_value();
  ended_ = ended_by(reason(), plan_.limits, ended_in_time_, cancelled_by_);
  ended_.processes = new_in_tree();
  const base::Nanoseconds limit = end_->look_limit();
  const base::Nanoseconds settle = std::min(plan_.settle, limit / 4);
  // Two looks and what is made of them: a little is left for the latter.
  pump_.want_last_look({.ended = ended_,
                        .settle = settle,
                        .time_limit = (limit - settle) * 2 / 5,
                        .also = outside(ended_.processes)});
}

bool RunControl::idle_expired(base::Instant now) {
  if (!idle_) return false;
  if (idle_->due(now)) idle_->look(now, activity());
  return idle_->expired(now);
}

// What lives of the tree: below us or, if somebody else has taken it in, in its group.
std::vector<kernel::Descendants::Process> RunControl::present() const {
  std::vector<kernel::Descendants::Process> found = descendants_->now();
  if (plan_.group == nullptr) return found;
  for (const base::Pid pid : plan_.group->members()) found.push_back({.pid = pid});
  return found;
}

// Everybody of the tree who lives, and how that is known.
std::map<base::Pid, model::EndedProcess::Known> RunControl::tree() const {
  using Known = model::EndedProcess::Known;
  std::map<base::Pid, Known> known;
  for (const base::Pid pid : tracer_.processes()) known.emplace(pid, Known::kTraced);
  for (const kernel::Descendants::Process& process : descendants_->now()) {
    known.emplace(process.pid, Known::kBelow);
  }
  if (plan_.group != nullptr) {
    for (const base::Pid pid : plan_.group->members()) known.emplace(pid, Known::kGroup);
  }
  known.erase(base::Pid{::getpid()});
  return known;
}

// Who is of the tree and was not when this was called before.
std::vector<model::EndedProcess> RunControl::new_in_tree() {
  std::vector<model::EndedProcess> found;
  for (const auto& [pid, known] : tree()) {
    if (!noted_.insert(pid).second) continue;
    found.push_back({pid, procfs_.comm(pid).value_or(std::string{}), known});
  }
  return found;
}

Activity RunControl::activity() {
  std::vector<base::Pid> pids = tracer_.processes();
  auto now_present = present();
  if (now_present != seen_) ++seen_changes_;
  seen_ = std::move(now_present);
  for (const kernel::Descendants::Process& process : seen_) pids.push_back(process.pid);
  std::ranges::sort(pids);
  const auto doubles = std::ranges::unique(pids);
  pids.erase(doubles.begin(), doubles.end());
  Activity sum;
  sum.task_changes = tracer_.task_changes() + seen_changes_;
  for (const base::Pid pid : pids) {
    const auto work = kernel::process_work(procfs_, pid);
    if (!work) continue;
    sum.cpu += work->cpu;
    sum.written += work->written;
  }
  return sum;
}

// The traced tree is known exactly; what was let go on the way is found below this process, and in
// the group.
void RunControl::signal_all(int signo) {
  for (model::EndedProcess& process : new_in_tree()) late_.push_back(std::move(process));
  const kernel::ControlGroup* group = plan_.group;
  const std::vector<base::Pid> traced = tracer_.processes();
  tracer_.signal_tree(signo);
  if (group != nullptr && signo == SIGKILL) group->kill();
  std::vector<base::Pid> signalled = traced;
  for (const kernel::Descendants::Process& process : descendants_->now()) {
    if (std::ranges::binary_search(traced, process.pid)) continue;
    static_cast<void>(descendants_->signal(process, signo));
    if (signo != SIGKILL) static_cast<void>(descendants_->signal(process, SIGCONT));
    signalled.push_back(process.pid);
  }
  if (group == nullptr || signo == SIGKILL) return;
  std::ranges::sort(signalled);
  group->signal(signo, signalled);
}

int RunControl::own_status() const {
  const auto& exit = tracer_.command_exit();
  if (!exit) return kExitFailure;
  return exit->signaled ? kExitSignalBase + exit->code : exit->code;
}

void RunControl::arm_guard(base::Instant now) {
  guard_->arm(end_->longest(now) + kLeaving, status().value_or(own_status()));
}

// A limit of the time holds for them as well. Without one they are as free as after any other run.
bool RunControl::follows_untraced() const {
  const RunLimits& limits = plan_.limits;
  return reached() || limits.deadline || limits.idle || limits.close_orphans;
}

void RunControl::finish() {
  constexpr base::Nanoseconds kPause = std::chrono::milliseconds{20};
  while (end_ && !end_->given_up() && descendants_ && follows_untraced()) {
    // Orphans that came to us, traced or not, are nobody else's to reap.
    while (::waitpid(-1, nullptr, WNOHANG | __WALL) > 0) {
    }
    if (present().empty()) break;
    const bool ending = reached();
    const int cancels = cancels_;
    tracer_.pass_signals(*this);
    insisted_ = insisted_ || (ending && cancels_ > cancels);
    if (on_tick(clock_.now()) == engine::Directive::kDetach) break;
    std::this_thread::sleep_for(kPause);
  }
  // What is left is telling about it; whoever does not read that has till the deadline.
  if (!reached() && guard_ != nullptr && guard_->armed()) guard_->change_status(own_status());
}

std::optional<int> RunControl::status() const {
  switch (reason()) {
    case EndReason::kNone:
    case EndReason::kOrphans:
      return std::nullopt;
    case EndReason::kDeadline:
    case EndReason::kIdle:
      // Like timeout(1): a command that has ended in time keeps its status.
      if (ended_in_time_) return std::nullopt;
      return kExitDeadline;
    case EndReason::kFinding:
      return kExitStuck;
    case EndReason::kCancelled:
      return kExitSignalBase + cancelled_by_;
  }
  return std::nullopt;
}

}  // namespace stucktrace::cli
