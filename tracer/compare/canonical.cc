#include "tracer/compare/canonical.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "tracer/compare/call_facts.h"
#include "tracer/compare/deed_lines.h"
#include "tracer/compare/path_text.h"
#include "tracer/compare/steps.h"

namespace stucktrace::compare {
namespace {

// One pass over the events with the final names, one ThreadLines a task: the order of calls.
class Walk {
 public:
  Walk(Roles& roles, const Naming& naming, const Normaliser& normalise)
      : normalise_(&normalise),
        roles_(&roles),
        things_(normalise, naming.things),
        steps_(roles, things_, normalise) {}

  base::Result<void> run(const model::EventSource& events) {
    roles_->rewind();
    return events.for_each([this](const model::Event& event) { step(event); });
  }
  std::vector<std::string> lines(std::size_t task) const {
    const auto at = threads_.find(task);
    return at == threads_.end() ? std::vector<std::string>{} : at->second.take(*normalise_);
  }
  std::vector<std::string> received(std::size_t process) const {
    const auto at = received_.find(process);
    if (at == received_.end()) return {};
    return {at->second.begin(), at->second.end()};
  }

 private:
  void step(const model::Event& event) {
    roles_->follow(event);
    const std::size_t task = roles_->task();
    if (task == Roles::kNone) return;
    ThreadLines& lines = threads_[task];
    if (const auto* enter = std::get_if<model::SyscallEnter>(&event.data)) {
      // Whether a look meets a call is a matter of time; what is stuck in it is a finding anyway.
      if (!enter->looked_up) steps_.enter(begun_call(event, *enter), lines);
    }
    const auto call = pairer_.observe(event);
    const auto fresh =
        things_.observe(event, roles_->name(task), roles_->maker_of(task) == Roles::kNone);
    if (const auto* exit = std::get_if<model::SyscallExit>(&event.data)) {
      if (call && !exit->looked_up && !call->looked_up) finish(event, *call, fresh, lines);
    } else {
      happened(event, task, lines);
    }
  }

  void finish(const model::Event& event, const model::Call& call, const std::vector<Thing*>& fresh,
              ThreadLines& lines) {
    // Without its entry (lost, or before the trace) the exit has to tell both.
    if (call.first_sequence == event.sequence) steps_.enter(call, lines);
    steps_.exit(call, fresh, lines);
  }

  void happened(const model::Event& event, std::size_t task, ThreadLines& lines) {
    if (const auto* seen = std::get_if<model::TaskSeen>(&event.data)) {
      if (seen->at_attach && !seen->argv.empty()) {
        lines.milestone("runs " + command(seen->exe, seen->argv));
      }
    } else if (const auto* exec = std::get_if<model::Exec>(&event.data)) {
      lines.program("executes " + command(exec->exe, exec->argv));
    } else if (const auto* made = std::get_if<model::NewTask>(&event.data)) {
      lines.milestone(fmt::format("makes {} {}",
                                  made->kind == model::NewTaskKind::kThread ? "thread" : "process",
                                  roles_->name(roles_->made())));
    } else if (const auto* stop = std::get_if<model::SignalStop>(&event.data)) {
      // When it arrives, and at which thread, is timing; that it does is not.
      if (!is_timing_noise(stop->signo)) {
        received_[roles_->process_of(task)].insert("receives " +
                                                   syscalls::signal_name(stop->signo));
      }
    }
  }

  std::string command(const std::string& exe, const std::vector<std::string>& argv) const {
    constexpr std::size_t kMaxArguments = 40;
    std::string text = quoted((*normalise_)(exe));
    for (std::size_t i = 0; i < argv.size() && i < kMaxArguments; ++i) {
      text += " " + quoted((*normalise_)(argv[i]));
    }
    if (argv.size() > kMaxArguments) text += " ...";
    return text;
  }

  const Normaliser* normalise_;
  Roles* roles_;
  Things things_;
  Steps steps_;
  model::CallPairer pairer_;
  std::map<std::size_t, ThreadLines> threads_;
  std::map<std::size_t, std::set<std::string>> received_;
};

class Builder {
 public:
  Builder(const DeedSources& from, CanonicalTrace& trace) : from_(from), trace_(trace) {}

  void processes(const Walk* walk) {
    std::map<std::size_t, std::vector<std::size_t>> threads;
    for (std::size_t task = 0; task < from_.roles.size(); ++task) {
      const std::size_t process = from_.roles.process_of(task);
      if (process != task) threads[process].push_back(task);
    }
    for (const std::size_t process : from_.naming.processes) {
      const ProcessDeeds& deeds = from_.deeds.processes.at(process);
      CanonicalTrace::Section section;
      section.role = from_.naming.tasks[process];
      section.title = title_of(deeds);
      if (deeds.maker != Roles::kNone) section.parent = from_.naming.tasks[deeds.maker];
      section.lines = process_lines(from_, process);
      if (walk != nullptr) {
        auto received = walk->received(process);
        section.lines.insert(section.lines.end() - 1, received.begin(), received.end());
      }
      trace_.sections.push_back(std::move(section));
      if (walk == nullptr) continue;
      calls(*walk, process);
      std::vector<std::size_t>& list = threads[process];
      std::ranges::stable_sort(list, {}, [&](std::size_t t) { return from_.roles.order_of(t); });
      for (const std::size_t thread : list) calls(*walk, thread);
    }
  }

  void channels() {
    if (from_.level == Level::kStructure) return;
    for (const std::size_t channel : from_.naming.channels) {
      trace_.sections.push_back(
          {from_.naming.things.at(channel), {}, {}, channel_lines(from_, channel), 0});
    }
  }

  void findings(const std::vector<model::FindingRecord>& records) {
    auto lines = finding_lines(from_, records);
    if (!lines.empty()) trace_.sections.push_back({"findings", {}, {}, std::move(lines), 0});
  }

 private:
  void calls(const Walk& walk, std::size_t task) {
    auto lines = walk.lines(task);
    if (lines.empty()) return;
    trace_.sections.push_back({from_.naming.tasks[task] + " calls", {}, {}, std::move(lines), 0});
  }

  const DeedSources& from_;
  CanonicalTrace& trace_;
};

}  // namespace

std::string CanonicalTrace::Section::heading() const {
  if (!is_process()) return role;
  if (!parent.empty()) return fmt::format("{} {}{}{}", role, title, kChild, parent);
  // Would read as the calls of a thread, or as a child.
  const bool doubtful = title == "calls" || title.contains(kChild);
  return fmt::format("{} {}{}{}", role, title, doubtful ? kChild : "", doubtful ? kNobody : "");
}

base::Result<CanonicalRun> canonicalise(const Survey& survey, const model::EventSource& events,
                                        const std::vector<model::FindingRecord>& findings,
                                        const Options& options) {
  const Normaliser normalise{survey.numbers, options.normalise};
  Roles roles{survey.tasks};
  Things things{normalise};
  const auto collected = collect_deeds(events, roles, things, normalise);
  if (!collected) return base::Failure{collected.error()};
  const Deeds& deeds = *collected;
  const auto channels = channels_of(deeds, roles, things);
  const Users users = users_of(deeds, channels);
  const Naming naming = canonical_names(deeds, channels, roles, things, options.level);
  CanonicalRun run;
  run.trace.level = options.level;
  run.trace.seen = options.seen.value_or(deeds.all_seen ? Seen::kAll : Seen::kFiltered);
  const DeedSources from{deeds,  channels,  users,         naming,        roles,
                         things, normalise, options.level, run.trace.seen};
  auto builder = Builder{from, run.trace};
  run.roles.names = naming.tasks;
  if (options.level == Level::kCalls) {
    Roles renamed{survey.tasks};
    renamed.rename(naming.tasks);
    Walk walk{renamed, naming, normalise};
    if (auto done = walk.run(events); !done) return base::Failure{done.error()};
    builder.processes(&walk);
  } else {
    builder.processes(nullptr);
  }
  builder.channels();
  // These name tasks by numbers as they were last.
  builder.findings(findings);
  return run;
}

}  // namespace stucktrace::compare
