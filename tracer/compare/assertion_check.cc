// Judges a run by assertions.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "syscalls/io.h"
#include "tracer/base/text.h"
#include "tracer/compare/assertion.h"
#include "tracer/compare/task_follower.h"
#include "tracer/model/timeline.h"

namespace stucktrace::compare {
namespace {

using Kind = Assertion::Kind;
using Subject = Assertion::Subject;
using Compare = Assertion::Compare;
using syscalls::Sys;

bool holds(Compare compare, std::uint64_t seen, std::uint64_t number) {
  switch (compare) {
    case Compare::kLess:
      return seen < number;
    case Compare::kAtMost:
      return seen <= number;
    case Compare::kEqual:
      return seen == number;
    case Compare::kNot:
      return seen != number;
    case Compare::kAtLeast:
      return seen >= number;
    case Compare::kMore:
      return seen > number;
  }
  return false;
}

std::string call_text(const model::Call& call) {
  constexpr std::size_t kLongest = 120;
  const auto decoded = syscalls::decode(call.raw, call.result, call.memory);
  std::vector<std::string> arguments;
  for (const auto& argument : decoded.args) arguments.push_back(syscalls::to_text(argument.value));
  std::string text = fmt::format("{}({})", decoded.name, fmt::join(arguments, ", "));
  if (call.result && call.result->is_error) {
    text += " = " + syscalls::error_name(call.result->value);
  } else if (call.result) {
    text += fmt::format(" = {}", call.result->value);
  }
  return base::escape_text(text, kLongest);
}

// Waits that are no trouble by themselves: who waits for a child that works waits for the work, and
// who sleeps asked for it.
bool is_wait_of_its_own(const model::Call& call) {
  switch (call.sys()) {
    case Sys::wait4:
    case Sys::waitid:
    case Sys::nanosleep:
    case Sys::clock_nanosleep:
      return true;
    case Sys::poll:
    case Sys::ppoll:
    case Sys::select:
    case Sys::pselect6:
      return syscalls::polled_fds(call.raw, call.memory).empty();
    default:
      return false;
  }
}

class Judge {
 public:
  Judge(const Assertion& assertion, base::Instant start) : assertion_(assertion), start_(start) {
    if (assertion.process) {
      process_ = fmt::format("P{}", *assertion.process);
    } else if (assertion.kind == Kind::kExits || assertion.kind == Kind::kKilled) {
      process_ = "P1";
    }
  }

  // `role` is that of the event's thread.
  void observe(const model::Event& event, const std::string& role,
               const std::vector<model::Call>& ended) {
    if (!concerns(role)) return;
    present_ = true;
    switch (assertion_.kind) {
      case Kind::kCount:
        return count(event, role, ended);
      case Kind::kMaxBlocked:
        for (const auto& call : ended) measure(call, role);
        return;
      case Kind::kExits:
      case Kind::kKilled:
        if (const auto* exit = std::get_if<model::TaskExit>(&event.data)) end(event, *exit, role);
        return;
      case Kind::kNoFinding:
        return;
    }
  }

  // Still open when the trace ends: a wait all the same, and no less a call.
  void observe_open(const model::Call& call, const std::string& role) {
    if (!concerns(role)) return;
    if (assertion_.kind == Kind::kMaxBlocked) measure(call, role);
    if (assertion_.kind == Kind::kCount && assertion_.subject == Subject::kCalls) {
      count_call(call, role);
    }
  }

  std::optional<AssertionFailure> verdict(const std::vector<model::FindingRecord>& findings,
                                          const std::map<base::Tid, std::string>& names) {
    AssertionFailure failure{assertion_, {}, {}, {}};
    if (assertion_.process && !present_) {
      failure.seen = fmt::format("there is no {} in this run", process_);
      return failure;
    }
    switch (assertion_.kind) {
      case Kind::kCount:
        return judge_count(failure);
      case Kind::kMaxBlocked:
        if (longest_ <= assertion_.limit) return std::nullopt;
        failure.seen = fmt::format("blocked for {} in one call", base::human_duration(longest_));
        failure.place = longest_at_;
        failure.show = longest_name_;
        return failure;
      case Kind::kExits:
      case Kind::kKilled:
        return judge_end(failure);
      case Kind::kNoFinding:
        return judge_findings(failure, findings, names);
    }
    return std::nullopt;
  }

 private:
  bool concerns(const std::string& role) const {
    if (process_.empty()) return true;
    return role == process_ || (role.starts_with(process_) && role[process_.size()] == '.');
  }

  Place place(base::Instant at, const std::string& role, std::string call) const {
    return {at - start_, role, std::move(call)};
  }

  void hit(base::Instant at, const std::string& role, auto&& text) {
    ++count_;
    switch (assertion_.compare) {
      case Compare::kLess:
      case Compare::kAtMost:
        // The first that is one too many.
        if (!at_ && !holds(assertion_.compare, count_, assertion_.number)) {
          at_ = place(at, role, text());
        }
        return;
      default:
        // The last of too few, or the first one too many.
        if (count_ <= assertion_.number + 1) at_ = place(at, role, text());
    }
  }

  void count(const model::Event& event, const std::string& role,
             const std::vector<model::Call>& ended) {
    switch (assertion_.subject) {
      case Subject::kCalls:
        for (const auto& call : ended) count_call(call, role);
        return;
      case Subject::kExecs:
        if (const auto* exec = std::get_if<model::Exec>(&event.data)) {
          hit(event.at, role, [&] { return "executes " + base::escape_text(exec->exe); });
        }
        return;
      case Subject::kForks:
      case Subject::kThreads:
        if (const auto* made = std::get_if<model::NewTask>(&event.data)) {
          const bool thread = made->kind == model::NewTaskKind::kThread;
          if (thread != (assertion_.subject == Subject::kThreads)) return;
          hit(event.at, role,
              [&] { return std::string{thread ? "makes a thread" : "makes a process"}; });
        }
        return;
    }
  }

  void count_call(const model::Call& call, const std::string& role) {
    if (call.looked_up || !assertion_.calls.contains(call.sys())) return;
    hit(call.start, role, [&] { return call_text(call); });
  }

  void measure(const model::Call& call, const std::string& role) {
    const syscalls::SyscallRow* row = syscalls::find_row(call.raw.abi, call.raw.number);
    if (row == nullptr || !row->has(syscalls::Trait::kMayBlock) || !call.end) return;
    if (call.looked_up || is_wait_of_its_own(call)) return;
    const base::Nanoseconds took = *call.end - call.start;
    if (took <= longest_) return;
    longest_ = took;
    longest_at_ = place(call.start, role, call_text(call));
    longest_name_ = row->name;
  }

  void end(const model::Event& event, const model::TaskExit& exit, const std::string& role) {
    if (role != process_) return;
    ended_ = exit;
    end_at_ = place(event.at, role,
                    exit.signaled ? "killed by " + syscalls::signal_name(exit.code)
                                  : fmt::format("exits with status {}", exit.code));
  }

  std::optional<AssertionFailure> judge_count(AssertionFailure& failure) const {
    if (holds(assertion_.compare, count_, assertion_.number)) return std::nullopt;
    failure.seen = fmt::format("{} of them", count_);
    failure.place = at_;
    failure.show = assertion_.set;
    return failure;
  }

  std::optional<AssertionFailure> judge_end(AssertionFailure& failure) const {
    const bool signal = assertion_.kind == Kind::kKilled;
    if (ended_ && ended_->signaled == signal &&
        static_cast<std::uint64_t>(ended_->code) == assertion_.number) {
      return std::nullopt;
    }
    failure.seen = ended_ ? end_at_.call : fmt::format("{} does not end", process_);
    if (ended_) failure.place = end_at_;
    return failure;
  }

  std::optional<AssertionFailure> judge_findings(
      AssertionFailure& failure, const std::vector<model::FindingRecord>& findings,
      const std::map<base::Tid, std::string>& names) const {
    for (const auto& record : findings) {
      if (!assertion_.rule.empty() && record.finding.rule != assertion_.rule) continue;
      failure.seen =
          fmt::format("{} ({})", record.finding.rule, model::to_string(record.finding.certainty));
      const auto name = names.find(record.finding.tid);
      failure.place = place(record.stalled_since, name == names.end() ? "?" : name->second,
                            base::escape_text(record.finding.headline));
      return failure;
    }
    return std::nullopt;
  }

  const Assertion& assertion_;
  base::Instant start_;
  std::string process_;  // "" any
  bool present_ = false;
  std::uint64_t count_ = 0;
  std::optional<Place> at_;
  base::Nanoseconds longest_{};
  Place longest_at_;
  std::string longest_name_;
  std::optional<model::TaskExit> ended_;
  Place end_at_;
};

}  // namespace

base::Result<std::vector<AssertionFailure>> check_assertions(
    const std::vector<Assertion>& assertions, const model::EventSource& events,
    const std::vector<model::FindingRecord>& findings, const RoleTable& roles,
    base::Instant start) {
  std::vector<AssertionFailure> failures;
  if (assertions.empty()) return failures;
  std::vector<Judge> judges;
  for (const Assertion& assertion : assertions) judges.emplace_back(assertion, start);
  TaskFollower tasks;
  model::CallPairer pairer;
  std::map<base::Tid, std::string> names;
  base::Instant last;
  std::vector<model::Call> ended;
  const auto done = events.for_each([&](const model::Event& event) {
    last = event.at;
    const std::string* role = roles.role(tasks.observe(event).task);
    ended.clear();
    if (auto call = pairer.observe(event)) {
      // Killed while it waited; without an end of its own it would be no wait.
      if (!call->end && std::holds_alternative<model::TaskExit>(event.data)) call->end = event.at;
      ended.push_back(std::move(*call));
    }
    if (role == nullptr) return;
    names[event.tid] = *role;
    for (Judge& judge : judges) judge.observe(event, *role, ended);
  });
  if (!done) return base::Failure{done.error()};
  for (model::Call& call : pairer.close()) {
    const auto name = names.find(call.tid);
    if (name == names.end()) continue;
    call.end = std::max(call.start, last);
    for (Judge& judge : judges) judge.observe_open(call, name->second);
  }
  for (Judge& judge : judges) {
    if (auto failure = judge.verdict(findings, names)) failures.push_back(std::move(*failure));
  }
  return failures;
}

}  // namespace stucktrace::compare
