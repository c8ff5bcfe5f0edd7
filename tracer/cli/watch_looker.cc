#include "tracer/cli/watch_looker.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "tracer/cli/watch_stacks.h"

namespace stucktrace::cli {

namespace {

// Findings that only a stack can show come at most so much later.
constexpr base::Nanoseconds kStacksEvery = std::chrono::seconds{5};

// What a snapshot says about the time since the one before, which `closer` came too soon to see.
void keep_interval_facts(const model::Snapshot& first, model::Snapshot& closer) {
  closer.suspended += first.suspended;
  for (model::Process& process : closer.processes) {
    const model::Process* then = first.find(process.pid);
    if (then != nullptr && then->cpu_starved) process.cpu_starved = true;
  }
}

}  // namespace

WatchEye::WatchEye(WatchPlan plan, std::unique_ptr<Analysis> analysis)
    : plan_(std::move(plan)), analysis_(std::move(analysis)) {}

// A root's number that is given to another process is not the one that was asked about. True where
// the snapshot holds such a stranger.
bool WatchEye::drop_reused_roots(const model::Snapshot& now) {
  bool strangers = false;
  std::erase_if(plan_.roots, [&](base::Pid root) {
    const model::Process* process = now.find(root);
    if (process == nullptr) return root_started_.contains(root);
    const auto [known, first] = root_started_.try_emplace(root, process->start_time);
    const bool stranger = !first && known->second != process->start_time;
    strangers = strangers || stranger;
    return stranger;
  });
  return strangers;
}

void WatchEye::keep_roles(model::Snapshot& now) {
  std::vector<model::Process*> in_order;
  for (model::Process& process : now.processes) in_order.push_back(&process);
  const auto number = [](const model::Process* process) {
    return std::pair{process->role.size(), process->role};  // P2 before P10
  };
  std::ranges::sort(in_order, {}, number);
  std::map<std::pair<base::Pid, std::uint64_t>, std::string> present;
  for (model::Process* process : in_order) {
    const std::pair key{process->pid, process->start_time};
    const auto known = roles_.find(key);
    process->role = known != roles_.end() ? known->second : fmt::format("P{}", ++last_role_);
    present.emplace(key, process->role);
  }
  roles_ = std::move(present);
}

base::Nanoseconds WatchEye::pause() const {
  // The first two looks follow each other as closely as a verdict allows.
  return looks_ < 2 ? plan_.settle : plan_.interval;
}

base::Result<WatchEye::Look> WatchEye::take(Stacks stacks) {
  engine::SnapshotOptions options;
  options.native_stacks = stacks != Stacks::kNone;
  options.python_stacks = options.native_stacks;
  options.all_stacks = stacks == Stacks::kAll;
  options.tracer_self = base::Pid{::getpid()};
  for (;;) {
    if (plan_.roots.empty()) {
      return base::system_error("look at the processes", base::Errno{ESRCH});
    }
    options.roots = plan_.roots;
    auto taken = snapshotter_.take(options);
    if (!taken) return taken;
    if (drop_reused_roots(**taken)) continue;
    keep_roles(**taken);
    if (stacks != Stacks::kNone) stacks_read_ = (*taken)->taken_at;
    return taken;
  }
}

// The same once more, closer.
base::Result<void> WatchEye::add_stacks(Look& now, Stacks wanted) {
  auto closer = take(wanted);
  if (!closer) return base::Failure{closer.error()};
  keep_interval_facts(*now, **closer);
  now = std::move(*closer);
  has_ = wanted;
  dear_ = true;
  return {};
}

base::Result<render::WatchLook> WatchEye::look(bool with_stacks) {
  auto taken = take(Stacks::kNone);
  if (!taken) return base::Failure{taken.error()};
  Look now = std::move(*taken);
  ++looks_;
  dear_ = false;
  const Stacks wanted = with_stacks ? Stacks::kAll : Stacks::kTree;
  if (has_ == Stacks::kNone || !carry_stacks(*before_, *now)) has_ = Stacks::kNone;
  const bool due =
      before_ != nullptr && (!stacks_read_ || now->taken_at - *stacks_read_ >= kStacksEvery);
  const bool lacks = has_ == Stacks::kNone && (found_ || due);
  if (lacks || (with_stacks && has_ != Stacks::kAll)) {
    if (auto added = add_stacks(now, wanted); !added) return base::Failure{added.error()};
  }
  model::Diagnosis diagnosis;
  // One look alone says what there is, never that it stands still.
  const bool apart = before_ != nullptr && now->taken_at - before_->taken_at >= plan_.settle;
  // A look that somebody asked for may come soon after the last one.
  const Look& reference = apart ? before_ : older_;
  if (reference != nullptr) {
    diagnosis = analysis_->diagnose({reference, now});
    if (has_ == Stacks::kNone && !diagnosis.findings.empty()) {
      // No verdict without what `explain` would have seen as well.
      if (auto added = add_stacks(now, wanted); !added) return base::Failure{added.error()};
      diagnosis = analysis_->diagnose({reference, now});
    }
  }
  found_ = !diagnosis.findings.empty();
  if (apart) older_ = before_;
  before_ = now;
  return render::WatchLook{std::move(now), std::move(diagnosis)};
}

// ---- the thread ---------------------------------------------------------------------------------

base::Result<std::unique_ptr<WatchLooker>> WatchLooker::start(WatchPlan plan) {
  auto analysis = Analysis::create(plan.diagnosis);
  if (!analysis) return base::Failure{analysis.error()};
  base::UniqueFd ready(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!ready.valid()) return base::system_error("eventfd", base::Errno::last());
  const base::Nanoseconds settle = plan.settle;
  auto eye = std::make_unique<WatchEye>(std::move(plan), std::move(*analysis));
  std::unique_ptr<WatchLooker> looker(new WatchLooker(std::move(ready), settle));
  looker->thread_ =
      std::jthread([self = looker.get(), eye = std::move(eye)](
                       const std::stop_token& stop) mutable { self->work(stop, std::move(eye)); });
  return looker;
}

WatchLooker::~WatchLooker() {
  thread_.request_stop();
}

WatchLooker::News WatchLooker::take() {
  const std::scoped_lock lock(mutex_);
  eventfd_t count = 0;
  ::eventfd_read(ready_.get(), &count);
  News news{std::exchange(news_.look, std::nullopt), news_.ended};
  return news;
}

void WatchLooker::pause(bool paused) {
  const std::scoped_lock lock(mutex_);
  paused_ = paused;
  wake_.notify_all();
}

void WatchLooker::want_stacks(bool wanted) {
  const std::scoped_lock lock(mutex_);
  if (stacks_ == wanted) return;
  stacks_ = wanted;
  at_once_ = wanted;
  wake_.notify_all();
}

void WatchLooker::work(const std::stop_token& stop, std::unique_ptr<WatchEye> eye) {
  const base::SystemClock clock;
  while (!stop.stop_requested()) {
    bool stacks = false;
    {
      const std::scoped_lock lock(mutex_);
      stacks = stacks_;
      at_once_ = false;
    }
    const base::Instant begun = clock.now();
    auto look = eye->look(stacks);
    const base::Nanoseconds took = clock.now() - begun;

    std::unique_lock lock(mutex_);
    news_.ended = !look;
    if (look) news_.look = std::move(*look);
    ::eventfd_write(ready_.get(), 1);
    if (news_.ended) return;
    // A tree that takes long to read is read less often, so that watching costs little.
    const base::Nanoseconds rest = std::max(eye->pause() - took, took * (eye->was_dear() ? 10 : 2));
    wake_.wait_for(lock, stop, rest, [this] { return at_once_; });
    wake_.wait(lock, stop, [this] { return !paused_ || at_once_; });
    // Even what is asked for at once comes a settle time later, or it could not be compared.
    wake_.wait_for(lock, stop, begun + settle_ - clock.now(), [] { return false; });
  }
}

}  // namespace stucktrace::cli
